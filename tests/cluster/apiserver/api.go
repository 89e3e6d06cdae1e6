package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// startAPI starts the API server. It returns a privileged client configuration and a channel with the error of its end.
// It does not use NewAPIServerCommand, which installs signal handlers for the whole process.
func startAPI(ctx context.Context, s settings, keys credentials) (*rest.Config, <-chan error, error) {
	o := options.NewServerRunOptions()
	set := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, some := range o.Flags().FlagSets {
		set.AddFlagSet(some)
	}
	if err := set.Parse(append(flags(s, keys), s.extra...)); err != nil {
		return nil, nil, err
	}
	if err := o.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, nil, err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	completed, err := o.Complete(ctx)
	if err != nil {
		return nil, nil, err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return nil, nil, errs[0]
	}
	config, err := app.NewConfig(completed)
	if err != nil {
		return nil, nil, err
	}
	whole, err := config.Complete()
	if err != nil {
		return nil, nil, err
	}
	server, err := app.CreateServerChain(whole)
	if err != nil {
		return nil, nil, err
	}
	loopback := rest.CopyConfig(server.GenericAPIServer.LoopbackClientConfig)
	loopback.QPS, loopback.Burst = 500, 1000
	hook := func(genericapiserver.PostStartHookContext) error { return startControllers(ctx, loopback) }
	if err := server.GenericAPIServer.AddPostStartHook("test-controllers", hook); err != nil {
		return nil, nil, err
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		return nil, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- prepared.Run(ctx) }()
	return loopback, ended, nil
}

func flags(s settings, keys credentials) []string {
	etcd := s.etcdThrough
	if etcd == "" {
		etcd = fmt.Sprintf("127.0.0.1:%d", s.etcdPort)
	}
	return []string{
		"--etcd-servers=http://" + etcd,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", s.port),
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--cert-dir=" + filepath.Join(s.dir, "certificates"),
		"--token-auth-file=" + keys.tokensFile,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + keys.public,
		"--service-account-signing-key-file=" + keys.signing,
		// With this plugin, pods would have projected token volumes, which the kubelet of the tests does not support.
		"--disable-admission-plugins=ServiceAccount",
	}
}

// waitReady requests /readyz until the server is ready.
func waitReady(ctx context.Context, config *rest.Config, most time.Duration) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		_, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Timeout(2 * time.Second).DoRaw(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("/readyz did not succeed within %s: %w", most, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
