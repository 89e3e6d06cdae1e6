package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const poll = 100 * time.Millisecond

// files writes the volumes of a pod below dir and returns the folder of each mount path. Like a kubelet, it waits for Secrets
// and ConfigMaps that do not exist yet: tests create Deployments before their certificates.
func (p *pod) files(ctx context.Context, dir string) (map[string]string, error) {
	folders := map[string]string{}
	for _, volume := range p.object.Spec.Volumes {
		folder := filepath.Join(dir, volume.Name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		content, items, err := p.content(ctx, volume)
		if err != nil {
			return nil, err
		}
		for key, name := range chosen(content, items) {
			path := filepath.Join(folder, filepath.Clean("/"+name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return nil, err
			}
			if err := os.WriteFile(path, content[key], 0o644); err != nil {
				return nil, err
			}
		}
		folders[volume.Name] = folder
	}
	mounts := map[string]string{}
	for _, mount := range p.object.Spec.Containers[0].VolumeMounts {
		mounts[mount.MountPath] = folders[mount.Name]
	}
	return mounts, nil
}

// content reads the files of a volume. Volumes other than Secrets and ConfigMaps become empty folders.
func (p *pod) content(ctx context.Context, volume v1.Volume) (map[string][]byte, []v1.KeyToPath, error) {
	core, namespace := p.node.client.CoreV1(), p.object.Namespace
	switch {
	case volume.Secret != nil:
		var secret *v1.Secret
		err := p.await(ctx, func() (err error) {
			secret, err = core.Secrets(namespace).Get(ctx, volume.Secret.SecretName, metav1.GetOptions{})
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		return secret.Data, volume.Secret.Items, nil
	case volume.ConfigMap != nil:
		var object *v1.ConfigMap
		err := p.await(ctx, func() (err error) {
			object, err = core.ConfigMaps(namespace).Get(ctx, volume.ConfigMap.Name, metav1.GetOptions{})
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		content := map[string][]byte{}
		for key, text := range object.Data {
			content[key] = []byte(text)
		}
		for key, bytes := range object.BinaryData {
			content[key] = bytes
		}
		return content, volume.ConfigMap.Items, nil
	}
	return nil, nil, nil
}

// chosen returns the file name of each key: of the keys in items, or of all keys if items is empty.
func chosen(content map[string][]byte, items []v1.KeyToPath) map[string]string {
	names := map[string]string{}
	if len(items) == 0 {
		for key := range content {
			names[key] = key
		}
		return names
	}
	for _, item := range items {
		names[item.Key] = item.Path
	}
	return names
}

// await calls read until it succeeds, or until the pod is terminated.
func (p *pod) await(ctx context.Context, read func() error) error {
	for {
		err := read()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ending:
			return fmt.Errorf("the pod was terminated while it waited for a volume: %w", err)
		case <-time.After(poll):
		}
	}
}

// environment returns the variables of the container, HOME, and PATH. No other variable of this process is passed on.
func (p *pod) environment(mounts map[string]string) []string {
	fields := map[string]string{
		"metadata.name":           p.object.Name,
		"metadata.namespace":      p.object.Namespace,
		"metadata.uid":            string(p.object.UID),
		"spec.nodeName":           nodeName,
		"spec.serviceAccountName": p.object.Spec.ServiceAccountName,
		"status.podIP":            p.address,
		"status.hostIP":           nodeAddress,
	}
	variables := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}
	for _, variable := range p.object.Spec.Containers[0].Env {
		value := variable.Value
		if from := variable.ValueFrom; from != nil && from.FieldRef != nil {
			value = fields[from.FieldRef.FieldPath]
		}
		variables = append(variables, variable.Name+"="+placed(value, mounts))
	}
	return variables
}

// placed replaces mount paths in a text by the folders of this pod: two pods may have the same mount path.
func placed(text string, mounts map[string]string) string {
	for path, folder := range mounts {
		text = strings.ReplaceAll(text, path, folder)
	}
	return text
}
