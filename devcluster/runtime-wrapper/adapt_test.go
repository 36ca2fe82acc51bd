package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func fixed(highest uint64) limiter {
	return func(int) (uint64, error) { return highest, nil }
}

// rewritten runs rewrite on a file with the given text and reads it back.
func rewritten(t *testing.T, text string, bundle bool) object {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := rewrite(path, bundle, fixed(1024)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got object
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func parsed(t *testing.T, text string) object {
	t.Helper()
	var want object
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	return want
}

func TestRewrite(t *testing.T) {
	for name, test := range map[string]struct{ before, after string }{
		"capability": {
			`{"capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": ["CAP_SYS_RESOURCE"]}}`,
			`{"capabilities": {"bounding": ["CAP_CHOWN"], "ambient": []}}`,
		},
		"negative OOM score": {`{"oomScoreAdj": -998, "args": ["x"]}`, `{"args": ["x"]}`},
		"positive OOM score": {`{"oomScoreAdj": 998}`, `{"oomScoreAdj": 998}`},
		"limits": {
			`{"rlimits": [{"type": "RLIMIT_NOFILE", "hard": 18446744073709551615, "soft": 512}]}`,
			`{"rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 512}]}`,
		},
		"nothing to do": {`{"args": ["sleep", "1"], "cwd": "/"}`, `{"args": ["sleep", "1"], "cwd": "/"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := rewritten(t, test.before, false), parsed(t, test.after); !reflect.DeepEqual(got, want) {
				t.Errorf("exec file: got %v, want %v", got, want)
			}
			before, after := `{"ociVersion": "1.0.2", "process": `+test.before+`}`, `{"ociVersion": "1.0.2", "process": `+test.after+`}`
			if got, want := rewritten(t, before, true), parsed(t, after); !reflect.DeepEqual(got, want) {
				t.Errorf("bundle: got %v, want %v", got, want)
			}
		})
	}
}

func TestBundleWithoutProcess(t *testing.T) {
	text := `{"ociVersion": "1.0.2"}`
	if got, want := rewritten(t, text, true), parsed(t, text); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBrokenFilesAreErrors(t *testing.T) {
	for name, text := range map[string]string{
		"not JSON":      `{`,
		"unknown limit": `{"rlimits": [{"type": "RLIMIT_NEW", "hard": 1, "soft": 1}]}`,
		"no number":     `{"rlimits": [{"type": "RLIMIT_CORE", "hard": "x", "soft": 1}]}`,
	} {
		path := filepath.Join(t.TempDir(), "process.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if rewrite(path, false, fixed(1)) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestHardLimitIsOurOwn(t *testing.T) {
	highest, err := hardLimit(resources["RLIMIT_NOFILE"])
	if err != nil || highest == 0 {
		t.Errorf("got %d, %v", highest, err)
	}
}
