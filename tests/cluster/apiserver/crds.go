package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

const crdKind = "CustomResourceDefinition"

var crdResource = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// installCRDs creates the objects in the files of a folder (CRDs, and the policy that protects them) and waits until every CRD
// is Established. Existing objects are not changed: the first start with a data folder determines them.
func installCRDs(ctx context.Context, config *rest.Config, folder string) error {
	plain := rest.CopyConfig(config)
	plain.ContentType, plain.AcceptContentTypes = "", ""
	client, err := dynamic.NewForConfig(plain)
	if err != nil {
		return err
	}
	typed, err := kubernetes.NewForConfig(plain)
	if err != nil {
		return err
	}
	objects, err := readObjects(folder)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(typed.Discovery()))
	for _, object := range objects {
		kind := object.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			return err
		}
		_, err = client.Resource(mapping.Resource).Create(ctx, object, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("%s %s: %w", kind.Kind, object.GetName(), err)
		}
	}
	for _, object := range objects {
		if object.GetKind() == crdKind {
			if err := waitEstablished(ctx, client, object.GetName()); err != nil {
				return err
			}
		}
	}
	return nil
}

// readObjects returns the objects of all YAML files of a folder, CRDs first.
func readObjects(folder string) ([]*unstructured.Unstructured, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no YAML files in %q", folder)
	}
	var definitions, others []*unstructured.Unstructured
	for _, path := range paths {
		if filepath.Base(path) == "kustomization.yaml" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
		for {
			object := &unstructured.Unstructured{}
			if err := decoder.Decode(object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			switch object.GetKind() {
			case "":
			case crdKind:
				definitions = append(definitions, object)
			default:
				others = append(others, object)
			}
		}
	}
	return append(definitions, others...), nil
}

func waitEstablished(ctx context.Context, client dynamic.Interface, name string) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		object, err := client.Resource(crdResource).Get(ctx, name, metav1.GetOptions{})
		if err == nil && established(object) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s was not established within 30 s", name)
}

func established(object *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, condition := range conditions {
		c, ok := condition.(map[string]any)
		if ok && c["type"] == "Established" && c["status"] == string(metav1.ConditionTrue) {
			return true
		}
	}
	return false
}
