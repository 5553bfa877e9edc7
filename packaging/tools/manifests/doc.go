// Package manifests has the tests of packaging/kubernetes.yaml: every object is read as strictly as by an API server, by the types of
// Kubernetes itself.
package manifests
