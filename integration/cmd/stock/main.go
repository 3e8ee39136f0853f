// Stock runs a program of stock Apache Kafka of any version; see package gregor/integration/stock.
//
//	stock install VERSION...       fetch releases ahead of time
//	stock VERSION classpath        print the class path
//	stock VERSION TOOL [ARG...]    run a tool by its script's name (topics, console-producer, zookeeper-server, server, ...)
//	                               or any main class (a name with a dot)
//
// STOCK_HEAP (default 256M), STOCK_LOG (default WARN; INFO for servers) and STOCK_OPTS (further java options) are heeded.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"gregor/integration/stock"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stock:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: stock install VERSION... | stock VERSION TOOL|CLASS|classpath [ARG...]")
	}
	ctx := context.Background()
	if args[0] == "install" {
		for _, version := range args[1:] {
			if _, err := stock.Install(ctx, version); err != nil {
				return err
			}
		}
		return nil
	}
	release, err := stock.Install(ctx, args[0])
	if err != nil {
		return err
	}
	tool, rest := args[1], args[2:]
	if tool == "classpath" {
		fmt.Println(release.ClassPath())
		return nil
	}
	jvm := stock.JVM{Heap: os.Getenv("STOCK_HEAP"), Log: os.Getenv("STOCK_LOG"), Options: strings.Fields(os.Getenv("STOCK_OPTS"))}
	if jvm.Log == "" && strings.HasSuffix(tool, "server") {
		jvm.Log = "INFO"
	}
	cmd, err := release.Command(ctx, jvm, tool, rest...)
	if err != nil {
		return err
	}
	java, err := exec.LookPath(cmd.Args[0])
	if err != nil {
		return err
	}
	// Java takes this process's place, so that signals reach it.
	return syscall.Exec(java, cmd.Args, os.Environ())
}
