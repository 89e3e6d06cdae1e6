package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// node has the running pods by UID, and assigns their addresses.
type node struct {
	client kubernetes.Interface
	dir    string
	images images

	lock    sync.Mutex
	pods    map[string]*pod
	lastPod int // the last assigned address, as a number in 10.244/16
}

// register creates the Node object. Without it the EndpointSlice controller skips the pods. The Node has no Hostname address:
// the API server would prefer it and would have to resolve it.
func (n *node) register(ctx context.Context) error {
	object := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{"kubernetes.io/hostname": nodeName}}}
	if _, err := n.client.CoreV1().Nodes().Create(ctx, object, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	object, err := n.client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	now := metav1.Now()
	object.Status = v1.NodeStatus{
		Addresses:       []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: nodeAddress}},
		DaemonEndpoints: v1.NodeDaemonEndpoints{KubeletEndpoint: v1.DaemonEndpoint{Port: logsPort}},
		Conditions: []v1.NodeCondition{{
			Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: now, LastTransitionTime: now,
		}},
	}
	_, err = n.client.CoreV1().Nodes().UpdateStatus(ctx, object, metav1.UpdateOptions{})
	return err
}

// follow watches all pods. It returns when the existing pods have been processed.
func (n *node) follow(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(n.client, 0)
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { n.see(ctx, object.(*v1.Pod)) },
		UpdateFunc: func(_, object any) { n.see(ctx, object.(*v1.Pod)) },
		DeleteFunc: func(object any) {
			if last, unknown := object.(cache.DeletedFinalStateUnknown); unknown {
				object = last.Obj
			}
			n.forget(object.(*v1.Pod))
		},
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return fmt.Errorf("the pods could not be listed")
	}
	return nil
}

// see processes a new version of a pod: binds it to the node, starts its process, or terminates it.
func (n *node) see(ctx context.Context, object *v1.Pod) {
	if object.Spec.NodeName == "" {
		go n.bind(ctx, object)
		return
	}
	n.lock.Lock()
	defer n.lock.Unlock()
	running := n.pods[string(object.UID)]
	switch {
	case object.DeletionTimestamp != nil && running == nil:
		go n.remove(ctx, object)
	case object.DeletionTimestamp != nil:
		running.terminate()
	case running == nil:
		n.lastPod++
		address := fmt.Sprintf("10.244.%d.%d", 1+n.lastPod/250, 1+n.lastPod%250)
		one := newPod(n, object, address, n.lastPod)
		n.pods[string(object.UID)] = one
		go one.live(ctx)
	}
}

// forget kills a pod that was deleted without a grace period.
func (n *node) forget(object *v1.Pod) {
	n.lock.Lock()
	running := n.pods[string(object.UID)]
	delete(n.pods, string(object.UID))
	n.lock.Unlock()
	if running != nil {
		running.kill()
	}
}

func (n *node) bind(ctx context.Context, object *v1.Pod) {
	binding := &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: object.Namespace, Name: object.Name, UID: object.UID},
		Target:     v1.ObjectReference{Kind: "Node", Name: nodeName},
	}
	persist(ctx, func() error {
		return n.client.CoreV1().Pods(object.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	})
}

// remove deletes a terminated pod from the API server. Otherwise its namespace would stay Terminating.
func (n *node) remove(ctx context.Context, object *v1.Pod) {
	none, uid := int64(0), object.UID
	persist(ctx, func() error {
		return n.client.CoreV1().Pods(object.Namespace).Delete(ctx, object.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &none, Preconditions: &metav1.Preconditions{UID: &uid},
		})
	})
}

// persist repeats a write until it succeeds or the API server refuses it: the server may be unavailable for a minute.
func persist(ctx context.Context, write func() error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := write()
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
