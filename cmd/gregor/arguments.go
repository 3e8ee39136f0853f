package main

import "strings"

// arguments are those of gregor server.
type arguments struct {
	file      string
	overrides [][2]string // key, value, in order
	daemon    bool
	version   bool
	help      bool
}

// parseArguments reads what kafka-server-start.sh and kafka.Kafka read: options of the script before the file, those
// of the class after it; gregor takes both anywhere. An override without "=" has an empty value.
func parseArguments(args []string) (arguments, error) {
	var a arguments
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		name, inline, hasInline := strings.Cut(arg, "=")
		switch {
		case name == "--override":
			if !hasInline {
				if len(args) == 0 {
					return a, usageError("--override needs KEY=VALUE")
				}
				inline, args = args[0], args[1:]
			}
			key, val, _ := strings.Cut(inline, "=")
			a.overrides = append(a.overrides, [2]string{key, val})
		case arg == "-daemon":
			a.daemon = true
		case arg == "-name":
			if len(args) > 0 {
				args = args[1:]
			}
		case arg == "-loggc":
		case arg == "--version":
			a.version = true
		case arg == "--help" || arg == "-h":
			a.help = true
		case strings.HasPrefix(arg, "-"):
			return a, usageError(arg + " is not an option of gregor server")
		case a.file != "":
			return a, usageError("only one properties file can be given: " + arg + " is left over")
		default:
			a.file = arg
		}
	}
	if a.file == "" && !a.version && !a.help {
		return a, usageError("")
	}
	return a, nil
}
