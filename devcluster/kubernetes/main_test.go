package main

import (
	"slices"
	"testing"
)

func TestPick(t *testing.T) {
	for _, test := range []struct {
		args, rest []string
		name       string
	}{
		{args: []string{"/usr/bin/kubelet", "--v=2"}, name: "kubelet", rest: []string{"/usr/bin/kubelet", "--v=2"}},
		{args: []string{"/usr/bin/kube", "kubectl", "get"}, name: "kubectl", rest: []string{"kubectl", "get"}},
		{args: []string{"kubeadm", "etcd"}, name: "kubeadm", rest: []string{"kubeadm", "etcd"}},
	} {
		name, rest, err := pick(test.args)
		if err != nil || name != test.name || !slices.Equal(rest, test.rest) {
			t.Errorf("%q: got %q %q %v", test.args, name, rest, err)
		}
	}
	for _, args := range [][]string{{"kube"}, {"kube", "docker"}} {
		if _, _, err := pick(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
