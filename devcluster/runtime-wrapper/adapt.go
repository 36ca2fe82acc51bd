package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// object is a JSON object whose unknown members pass through untouched.
type object = map[string]any

const forbidden = "CAP_SYS_RESOURCE"

// resources are the numbers of Linux's resource limits (asm-generic/resource.h).
var resources = map[string]int{
	"RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3,
	"RLIMIT_CORE": 4, "RLIMIT_RSS": 5, "RLIMIT_NPROC": 6, "RLIMIT_NOFILE": 7,
	"RLIMIT_MEMLOCK": 8, "RLIMIT_AS": 9, "RLIMIT_LOCKS": 10, "RLIMIT_SIGPENDING": 11,
	"RLIMIT_MSGQUEUE": 12, "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14, "RLIMIT_RTTIME": 15,
}

// limiter says how far this process may raise a limit of its own kind.
type limiter func(resource int) (hard uint64, err error)

func hardLimit(resource int) (uint64, error) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(resource, &limit)
	return limit.Max, err
}

// rewrite adapts the process in the file at path: the whole file, or its
// member "process" where the file is a bundle's config.json.
func rewrite(path string, bundle bool, hard limiter) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // limits do not fit into a float64
	var document object
	if err := decoder.Decode(&document); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	process := document
	if bundle {
		process, _ = document["process"].(object)
	}
	if err := adapt(process, hard); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if data, err = json.Marshal(document); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// adapt takes out of an OCI process what needs CAP_SYS_RESOURCE: the capability
// itself, an OOM score below our own, and limits above our own hard ones.
func adapt(process object, hard limiter) error {
	sets, _ := process["capabilities"].(object)
	for set, value := range sets {
		if list, ok := value.([]any); ok {
			sets[set] = without(list, forbidden)
		}
	}
	if score, ok := process["oomScoreAdj"].(json.Number); ok && score[0] == '-' {
		delete(process, "oomScoreAdj")
	}
	limits, _ := process["rlimits"].([]any)
	for _, entry := range limits {
		if limit, ok := entry.(object); ok {
			if err := clamp(limit, hard); err != nil {
				return err
			}
		}
	}
	return nil
}

func without(list []any, unwanted string) []any {
	kept := []any{}
	for _, item := range list {
		if item != unwanted {
			kept = append(kept, item)
		}
	}
	return kept
}

func clamp(limit object, hard limiter) error {
	name, _ := limit["type"].(string)
	resource, known := resources[name]
	if !known {
		return fmt.Errorf("unknown resource limit %q", name)
	}
	highest, err := hard(resource)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, member := range []string{"hard", "soft"} {
		number, _ := limit[member].(json.Number)
		wanted, err := strconv.ParseUint(number.String(), 10, 64)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", name, member, err)
		}
		limit[member] = json.Number(strconv.FormatUint(min(wanted, highest), 10))
	}
	return nil
}
