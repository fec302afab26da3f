// What makes a cluster of an API server: Kubernetes' controllers, and kwok, which plays the nodes.
// The first argument says which.
package main

import (
	"fmt"
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	genericapiserver "k8s.io/apiserver/pkg/server"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "controllers: name kube-controller-manager or kwok first")
		os.Exit(64)
	}
	name := os.Args[1]
	os.Args = os.Args[1:]
	switch name {
	case "kube-controller-manager":
		os.Exit(cli.Run(app.NewControllerManagerCommand()))
	case "kwok":
		os.Exit(cli.Run(kwok.NewCommand(genericapiserver.SetupSignalContext())))
	default:
		fmt.Fprintf(os.Stderr, "controllers: %q is neither kube-controller-manager nor kwok\n", name)
		os.Exit(64)
	}
}
