// Command kube holds every Kubernetes program of the local cluster in one
// binary: the control plane, the node agents, etcd, CoreDNS, kubeadm and
// kubectl. Linking once instead of nine times is what keeps a cold build short,
// and the node image small.
//
// The program is picked by the name that the binary is called by (as a
// symbolic link), or by the first argument when it is called "kube".
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubectl's ways to log in
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app"
	kubeadmerrors "k8s.io/kubernetes/cmd/kubeadm/app/util/errors"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// programs maps a name to what runs it; each reads os.Args and returns the exit code.
var programs = map[string]func() int{
	"coredns":                 runCoreDNS,
	"etcd":                    func() int { etcdmain.Main(os.Args); return 0 },
	"kube-apiserver":          component(apiserver.NewAPIServerCommand),
	"kube-controller-manager": component(controllermanager.NewControllerManagerCommand),
	"kube-proxy":              component(proxy.NewProxyCommand),
	"kube-scheduler":          component(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubeadm":                 runKubeadm,
	"kubectl":                 runKubectl,
	"kubelet":                 component(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
}

func component(command func() *cobra.Command) func() int {
	return func() int { return cli.Run(command()) }
}

func runKubeadm() int {
	kubeadmerrors.HandleError(kubeadm.Run()) // prints the error and exits as kubeadm does
	return 0
}

func runKubectl() int {
	kubectlutil.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand())) // the same, for kubectl
	return 0
}

// pick says which program args asks for, and the arguments that it is to see.
func pick(args []string) (name string, rest []string, err error) {
	name, rest = filepath.Base(args[0]), args
	if _, ok := programs[name]; !ok {
		if len(args) < 2 {
			return "", nil, fmt.Errorf("usage: %s PROGRAM [ARGUMENT...], PROGRAM one of %s", name, strings.Join(names(), ", "))
		}
		name, rest = args[1], args[1:]
	}
	if _, ok := programs[name]; !ok {
		return "", nil, fmt.Errorf("%q is none of %s", name, strings.Join(names(), ", "))
	}
	return name, rest, nil
}

func names() []string {
	all := make([]string, 0, len(programs))
	for name := range programs {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func main() {
	name, args, err := pick(os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Args = args
	os.Exit(programs[name]())
}
