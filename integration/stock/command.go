package stock

import (
	"context"
	"os/exec"
)

// JVM says how to start Java. The zero value suits a tool.
type JVM struct {
	Heap    string   // maximum heap, for example "256M" (the default)
	Log     string   // log4j level on standard error; default WARN
	Options []string // further java options, before the class
}

// Command prepares, but does not start, a process that runs a tool (or any main class) of the release.
func (r *Release) Command(ctx context.Context, jvm JVM, tool string, args ...string) (*exec.Cmd, error) {
	class, err := r.MainClass(tool)
	if err != nil {
		return nil, err
	}
	switch tool {
	case "zookeeper-server":
		jvm.Options = append([]string{"-Dzookeeper.4lw.commands.whitelist=*", "-Dzookeeper.admin.enableServer=false"}, jvm.Options...)
	case "zookeeper-shell":
		args = append([]string{"-server"}, args...) // as zookeeper-shell.sh does: the first argument is the address
	}
	line := append(r.javaOptions(jvm), "-cp", r.ClassPath(), class)
	return exec.CommandContext(ctx, "java", append(line, args...)...), nil
}

func (r *Release) javaOptions(jvm JVM) []string {
	if jvm.Heap == "" {
		jvm.Heap = "256M"
	}
	if jvm.Log == "" {
		jvm.Log = "WARN"
	}
	return append([]string{
		"-Xmx" + jvm.Heap, "-Djava.awt.headless=true", "-Dzookeeper.sasl.client=false",
		"-Dlog4j.configuration=file:" + r.log4j(), "-Dgregor.stock.log=" + jvm.Log,
	}, jvm.Options...)
}
