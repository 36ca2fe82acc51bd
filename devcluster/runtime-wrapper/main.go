// Command runtime-wrapper stands in front of runc where the machine itself
// lacks CAP_SYS_RESOURCE. It takes out of a container's specification what the
// kernel would refuse (see adapt), then becomes runc.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	if err := wrap(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "runtime-wrapper:", err)
		os.Exit(1)
	}
}

// wrap adapts the specification that the call names, if it names one, and
// replaces this process by runc.
func wrap(args []string) error {
	call := parse(args)
	if path := call.specification(); path != "" {
		if err := rewrite(path, call.command != "exec", hardLimit); err != nil {
			return err
		}
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		runc = "/usr/sbin/runc" // Debian's place for it, not in every PATH
	}
	return syscall.Exec(runc, append([]string{"runc"}, args...), os.Environ())
}

// call is what matters of a runc command line.
type call struct {
	command string // create, run, exec, ...
	bundle  string // the folder with config.json, for create and run
	process string // the process file, for exec
}

// valued are runc's options before the command that take their value as the next argument.
var valued = map[string]bool{"--log": true, "--log-format": true, "--root": true, "--criu": true, "--rootless": true}

// parse reads "runc [option...] COMMAND [option...] ID".
func parse(args []string) call {
	c := call{bundle: "."}
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		switch {
		case c.command == "" && !strings.HasPrefix(name, "-"):
			c.command = name
		case c.command == "":
			if valued[name] && !joined {
				i++
			}
		case name == "--bundle" || name == "-b":
			c.bundle = value
		case name == "--process" || name == "-p":
			c.process = value
		}
	}
	return c
}

// specification is the file that describes the process to be started, or "".
func (c call) specification() string {
	switch c.command {
	case "create", "run":
		return filepath.Join(c.bundle, "config.json")
	case "exec":
		return c.process // without it the process comes from the command line, and asks for nothing
	}
	return ""
}
