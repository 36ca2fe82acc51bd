package main

import (
	"strings"
	"testing"
)

func TestSpecification(t *testing.T) {
	for line, want := range map[string]string{
		"--root /run/x --log /l --log-format json create --bundle /b --pid-file /p id": "/b/config.json",
		"--root=/run/x --systemd-cgroup create -b /b id":                               "/b/config.json",
		"run id":                                "config.json",
		"--root create run --bundle=/b id":      "/b/config.json",
		"--log /l exec --process /p.json -d id": "/p.json",
		"exec -p /p.json id":                    "/p.json",
		"exec --process=/p.json id":             "/p.json",
		"exec id sh":                            "",
		"--root /r state id":                    "",
		"--root /r kill --all id 9":             "",
		"delete --force create":                 "",
		"":                                      "",
	} {
		if got := parse(strings.Fields(line)).specification(); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}
