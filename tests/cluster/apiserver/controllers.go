package main

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/endpointslice"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
)

const (
	noResync         = 0
	endpointsInSlice = 100
	replicasAtOnce   = 500
	workers          = 5
)

// startControllers starts the controllers of kube-controller-manager that tests need. They end with ctx.
func startControllers(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	plain := rest.CopyConfig(config) // the metadata client does not support protobuf
	plain.ContentType, plain.AcceptContentTypes = "", ""
	meta, err := metadata.NewForConfig(plain)
	if err != nil {
		return err
	}
	json, err := kubernetes.NewForConfig(plain)
	if err != nil {
		return err
	}
	shared := informers.NewSharedInformerFactory(client, noResync)
	sharedMeta := metadatainformer.NewSharedInformerFactory(meta, noResync)
	core, apps := shared.Core().V1(), shared.Apps().V1()
	discovery := json.Discovery()

	slices := endpointslice.NewController(ctx, core.Pods(), core.Services(), core.Nodes(),
		shared.Discovery().V1().EndpointSlices(), endpointsInSlice, client, noResync)
	namespaces := namespace.NewNamespaceController(ctx, client, meta, discovery.ServerPreferredNamespacedResources,
		core.Namespaces(), 5*time.Minute, v1.FinalizerKubernetes)
	replicas := replicaset.NewReplicaSetController(ctx, apps.ReplicaSets(), core.Pods(), client, replicasAtOnce)
	accounts, err := serviceaccount.NewServiceAccountsController(klog.FromContext(ctx), core.ServiceAccounts(),
		core.Namespaces(), client, serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return err
	}
	deployments, err := deployment.NewDeploymentController(ctx, apps.Deployments(), apps.ReplicaSets(), core.Pods(), client)
	if err != nil {
		return err
	}
	started := make(chan struct{})
	ignored := map[schema.GroupResource]struct{}{{Resource: "events"}: {}, {Group: "events.k8s.io", Resource: "events"}: {}}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discovery))
	garbage, err := garbagecollector.NewGarbageCollector(ctx, client, meta, mapper, ignored,
		informerfactory.NewInformerFactory(shared, sharedMeta), started)
	if err != nil {
		return err
	}

	shared.Start(ctx.Done())
	sharedMeta.Start(ctx.Done())
	close(started)
	go slices.Run(ctx, workers)
	go namespaces.Run(ctx, 2*workers)
	go replicas.Run(ctx, workers)
	go accounts.Run(ctx, workers)
	go deployments.Run(ctx, workers)
	go garbage.Run(ctx, workers, 30*time.Second)
	go garbage.Sync(ctx, discovery, 5*time.Second) // follows new CRDs
	return nil
}
