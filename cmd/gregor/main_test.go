package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.properties", "zookeeper.connect=localhost:2181\n")
	const fatalLine = "ERROR Exiting Kafka due to fatal exception: "
	for _, test := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // parts
	}{
		{"no arguments", nil, 1, "", "Usage:"},
		{"no file", []string{"server"}, 1, "", "Usage:"},
		{"an unknown command", []string{"brew"}, 1, "", "Usage:"},
		{"an unknown option", []string{"server", good, "--foo"}, 1, "", "gregor: --foo is not an option of gregor server\nUsage:"},
		{"two files", []string{"server", good, "other"}, 1, "", "other is left over"},
		{"an override without a value", []string{"server", good, "--override"}, 1, "", "--override needs KEY=VALUE"},
		{"version", []string{"--version"}, 0, "gregor ", ""},
		{"version of server", []string{"server", "--version"}, 0, "(Kafka 3.9)", ""},
		{"help", []string{"server", "--help"}, 0, "Usage:", ""},
		{"a file that is not there", []string{"server", filepath.Join(dir, "none")}, 1, fatalLine + "open ", ""},
		{"a bad value", []string{"server", write("bad.properties", "zookeeper.connect=x\nbroker.id=x\n")}, 1,
			fatalLine + "Invalid value x for configuration broker.id: Not a number of type INT (kafka.Kafka$)", ""},
		{"a bad override", []string{"server", good, "--override", "num.partitions=2", "--override", "num.partitions=0"}, 1,
			fatalLine + "Invalid value 0 for configuration num.partitions: Value must be at least 1", ""},
		{"a bad file", []string{"server", write("escape.properties", `a=\u00`)}, 1, "escape.properties: malformed", ""},
		{"no ZooKeeper named", []string{"server", write("empty.properties", "")}, 1, "Missing required configuration `zookeeper.connect`", ""},
		{"a setting that would be ignored", []string{"server", good, "--override=authorizer.class.name=kafka.security.authorizer.AclAuthorizer"}, 1, "authorizer.class.name", ""},
		{"health of two brokers", []string{"healthcheck", "a:1", "b:1"}, 1, "", "healthcheck takes one HOST:PORT"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(test.args, &stdout, &stderr)
		if code != test.code || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) ||
			test.stdout == "" && stdout.Len() > 0 || test.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%s: exit %d\nstdout %s\nstderr %s", test.name, code, &stdout, &stderr)
		}
	}
	t.Setenv("KAFKA_LOG4J_LOGGERS", "kafka=LOUD")
	var stdout, stderr bytes.Buffer
	if code := run([]string{"server", good}, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "KAFKA_LOG4J_LOGGERS") {
		t.Errorf("a bad level in the environment: exit %d, %s", code, &stderr)
	}
}

func TestArguments(t *testing.T) {
	a, err := parseArguments([]string{"-daemon", "-name", "kafkaServer", "-loggc", "--override", "a=b=c", "file", "--override=d", "--override", "a=e"})
	if err != nil || a.file != "file" || !a.daemon || !slices.Equal(a.overrides, [][2]string{{"a", "b=c"}, {"d", ""}, {"a", "e"}}) {
		t.Errorf("%+v, %v", a, err)
	}
}

// answer listens, takes one request and writes a response; it returns the address and what it got.
func answer(t *testing.T, response []byte) (address string, got <-chan []byte) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	requests := make(chan []byte, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		request := make([]byte, 14)
		if _, err := io.ReadFull(conn, request); err == nil {
			requests <- request
			conn.Write(response)
		}
	}()
	return ln.Addr().String(), requests
}

func TestHealthcheck(t *testing.T) {
	healthy := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 10}, 0x67726567)
	healthy = append(healthy, 0, 0, 0, 0, 0, 0)
	address, got := answer(t, healthy)
	if err := healthcheck([]string{address}); err != nil {
		t.Error(err)
	}
	if request := <-got; !bytes.Equal(request[:8], []byte{0, 0, 0, 10, 0, 18, 0, 0}) {
		t.Errorf("request % x", request)
	}
	failing := slices.Clone(healthy)
	failing[9] = 35
	for name, response := range map[string][]byte{"an error code": failing, "a closed connection": nil, "another protocol": []byte("HTTP/1.1 400 Bad Request")} {
		address, _ := answer(t, response)
		var stderr bytes.Buffer
		if code := run([]string{"healthcheck", address}, io.Discard, &stderr); code != 1 || stderr.Len() == 0 {
			t.Errorf("%s passes for healthy: exit %d", name, code)
		}
	}
}
