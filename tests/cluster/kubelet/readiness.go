package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	portPause  = 20 * time.Millisecond
	probePause = 250 * time.Millisecond
)

// watchReadiness writes each change of the readiness of the pod. An HTTP readinessProbe is repeated until the pod ends.
// Without one, the pod is ready as soon as its port accepts connections.
func (p *pod) watchReadiness(ctx context.Context) {
	container := p.object.Spec.Containers[0]
	port, wanted := readyPort(container)
	if probe := container.ReadinessProbe; wanted && probe != nil && probe.HTTPGet != nil {
		p.followProbe(ctx, p.probeURL(container, probe.HTTPGet))
		return
	}
	for wanted {
		connection, err := net.DialTimeout("tcp", net.JoinHostPort(p.address, port), time.Second)
		if err == nil {
			connection.Close()
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(portPause):
		}
	}
	p.report(ctx, true)
}

// readyPort returns the port that the echo server of the suite opens first, and false if it serves only UDP: then the pod is
// ready at once.
func readyPort(container v1.Container) (string, bool) {
	port := "3000"
	for _, variable := range container.Env {
		switch variable.Name {
		case "UDP_ECHO_SERVER":
			return "", false
		case "HTTP_PORT", "TCP_PORT":
			port = variable.Value
		}
	}
	return port, !strings.Contains(container.Image, "/coredns:")
}

func (p *pod) probeURL(container v1.Container, get *v1.HTTPGetAction) string {
	port := get.Port.String()
	if get.Port.Type == intstr.String {
		for _, named := range container.Ports {
			if named.Name == get.Port.StrVal {
				port = fmt.Sprint(named.ContainerPort)
			}
		}
	}
	return "http://" + net.JoinHostPort(p.address, port) + get.Path
}

func (p *pod) followProbe(ctx context.Context, url string) {
	client := http.Client{Timeout: time.Second}
	ready := false
	for {
		response, err := client.Get(url)
		now := err == nil && response.StatusCode < http.StatusBadRequest
		if err == nil {
			response.Body.Close()
		}
		if now != ready && ctx.Err() == nil {
			ready = now
			p.report(ctx, ready)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(probePause):
		}
	}
}

// report writes the status of the pod. The patch contains the UID, so that it does not change a new pod of the same name.
func (p *pod) report(ctx context.Context, ready bool) {
	state := v1.ConditionFalse
	if ready {
		state = v1.ConditionTrue
	}
	now, since := metav1.Now(), metav1.NewTime(p.started)
	conditions := []v1.PodCondition{
		{Type: v1.PodScheduled, Status: v1.ConditionTrue, LastTransitionTime: since},
		{Type: v1.PodInitialized, Status: v1.ConditionTrue, LastTransitionTime: since},
		{Type: v1.ContainersReady, Status: state, LastTransitionTime: now},
		{Type: v1.PodReady, Status: state, LastTransitionTime: now},
	}
	container := p.object.Spec.Containers[0]
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": p.object.UID},
		"status": v1.PodStatus{
			Phase: v1.PodRunning, HostIP: nodeAddress, PodIP: p.address, PodIPs: []v1.PodIP{{IP: p.address}}, StartTime: &since,
			Conditions: conditions,
			ContainerStatuses: []v1.ContainerStatus{{
				Name: container.Name, Image: container.Image, Ready: ready, Started: &ready, RestartCount: p.restarts,
				State: v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: since}},
			}},
		},
	})
	if err != nil {
		panic(err) // these types can always be encoded
	}
	persist(ctx, func() error {
		_, err := p.node.client.CoreV1().Pods(p.object.Namespace).Patch(
			ctx, p.object.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	})
}
