package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"gregor/broker"
	"gregor/broker/config"
	"gregor/broker/logging"
)

// Logger names of the lines that Kafka's own launcher writes.
const (
	launcherLogger = "kafka.Kafka$"
	serverLogger   = "kafka.server.KafkaServer"
	configLogger   = "kafka.server.KafkaConfig"
	signalLogger   = "org.apache.kafka.common.utils.LoggingSignalHandler"
)

// server runs a broker until a signal stops it or it fails, and returns the exit code.
func server(args []string, stdout, stderr io.Writer) int {
	a, err := parseArguments(args)
	switch {
	case err != nil:
		return report(err, stderr)
	case a.help:
		fmt.Fprint(stdout, usage)
		return 0
	case a.version:
		fmt.Fprintln(stdout, versionLine())
		return 0
	case a.daemon:
		return report(daemon(args), stderr)
	}
	logs := logging.New(stdout, slog.LevelInfo)
	logs.Declare(logging.BrokerLoggers...)
	if err := logs.Configure(os.Getenv("KAFKA_LOG4J_ROOT_LOGLEVEL"), os.Getenv("KAFKA_LOG4J_LOGGERS")); err != nil {
		return report(fmt.Errorf("KAFKA_LOG4J_ROOT_LOGLEVEL or KAFKA_LOG4J_LOGGERS: %w", err), stderr)
	}
	cfg, err := configure(a, logs)
	if err != nil {
		logs.Logger(launcherLogger).Error("Exiting Kafka due to fatal exception: " + err.Error())
		return 1
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	logs.Logger(signalLogger).Info("Registered signal handlers for TERM, INT, HUP")
	return serve(cfg, logs, signals)
}

// configure reads the file, lays the overrides over it, and logs what came out.
func configure(a arguments, logs *logging.Registry) (*config.Store, error) {
	data, err := os.ReadFile(a.file)
	if err != nil {
		return nil, err
	}
	props, err := config.ParseProperties(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.file, err)
	}
	for _, override := range a.overrides {
		props[override[0]] = override[1]
	}
	cfg, warnings, err := config.NewStatic(props)
	if err != nil {
		return nil, err
	}
	logger := logs.Logger(configLogger)
	for _, warning := range warnings {
		logger.Warn(warning)
	}
	if logger.Enabled(context.Background(), slog.LevelInfo) {
		logger.Info(cfg.Values())
	}
	return cfg, nil
}

// serve starts the broker and stops it again. The first signal is a controlled shutdown, or the end of a start-up that is still
// under way; the second ends the process at once.
func serve(cfg *config.Store, logs *logging.Registry, signals <-chan os.Signal) int {
	started := make(chan outcome, 1)
	logs.Logger(serverLogger).Info("starting")
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	go func() {
		limitMemory(logs)
		giveBack(ctx)
	}()
	go func() {
		b, err := broker.Start(ctx, cfg, logs)
		started <- outcome{b, err}
	}()
	var o outcome
	asked := false
	for waiting := true; waiting; {
		select {
		case o = <-started:
			waiting = false
		case s := <-signals:
			logSignal(logs, s)
			if asked {
				return 1
			}
			asked = true
			interrupt()
		}
	}
	if o.err != nil && asked {
		return 0 // nothing runs: what had been started is stopped again
	}
	if o.err != nil {
		fatal(logs, serverLogger, "Fatal error during KafkaServer startup. Prepare to shutdown: "+o.err.Error())
		fatal(logs, launcherLogger, "Exiting Kafka due to fatal exception during startup.")
		return 1
	}
	code := 0
	if !asked {
		select {
		case s := <-signals:
			logSignal(logs, s)
		case err := <-o.broker.Failed():
			fatal(logs, serverLogger, "Halting because the broker cannot go on: "+err.Error())
			code = 1
		}
	}
	return max(code, shutdown(o.broker, logs, signals))
}

// outcome is what broker.Start returned.
type outcome struct {
	broker *broker.Broker
	err    error
}

// shutdown stops the broker, unless another signal is in a hurry.
func shutdown(b *broker.Broker, logs *logging.Registry, signals <-chan os.Signal) int {
	done := make(chan error, 1)
	go func() { done <- b.Shutdown() }()
	select {
	case err := <-done:
		if err != nil {
			fatal(logs, serverLogger, "Fatal error during KafkaServer shutdown: "+err.Error())
			return 1
		}
		return 0
	case s := <-signals:
		logSignal(logs, s)
		return 1
	}
}

func logSignal(logs *logging.Registry, s os.Signal) {
	names := map[os.Signal]string{syscall.SIGTERM: "SIGTERM", syscall.SIGINT: "SIGINT", syscall.SIGHUP: "SIGHUP"}
	logs.Logger(signalLogger).Info("Terminating process due to signal " + names[s])
}

func fatal(logs *logging.Registry, logger, message string) {
	logs.Logger(logger).Log(context.Background(), logging.LevelFatal, message)
}
