package manifests

import (
	"os"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// objects reads the documents of a file. Unknown fields, fields that come twice and values of another type are errors.
func objects(text string) (all []runtime.Object, err error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, autoscalingv2.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		object, _, err := decoder.Decode([]byte(document), nil, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, object)
	}
	return all, nil
}

func manifest(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The objects are what they say, and what one names in another is there.
func TestManifests(t *testing.T) {
	all, err := objects(manifest(t))
	if err != nil {
		t.Fatal(err)
	}
	d, ok := all[0].(*appsv1.Deployment)
	if !ok || len(all) != 5 {
		t.Fatalf("%d objects, the first is a %T", len(all), all[0])
	}
	pod := labels.Set(d.Spec.Template.Labels)
	selects := func(what string, s *metav1.LabelSelector) {
		t.Helper()
		if selector, err := metav1.LabelSelectorAsSelector(s); err != nil || selector.Empty() || !selector.Matches(pod) {
			t.Errorf("%s selects other pods: %v, %v", what, s, err)
		}
	}
	ports, volumes := map[string]bool{}, map[string]bool{}
	for _, p := range d.Spec.Template.Spec.Containers[0].Ports {
		ports[p.Name] = true
	}
	for _, v := range d.Spec.Template.Spec.Volumes {
		volumes[v.Name] = true
	}
	named := func(what string, p *intstr.IntOrString) {
		t.Helper()
		if p == nil || p.Type != intstr.String || !ports[p.StrVal] {
			t.Errorf("%s: there is no port %v", what, p)
		}
	}
	selects("the deployment", d.Spec.Selector)
	c := &d.Spec.Template.Spec.Containers[0]
	for what, probe := range map[string]*corev1.Probe{"start": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		named(what, &probe.HTTPGet.Port)
	}
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
	for _, o := range all[1:] {
		switch o := o.(type) {
		case *corev1.Service:
			selects("the service", &metav1.LabelSelector{MatchLabels: o.Spec.Selector})
			named("service", &o.Spec.Ports[0].TargetPort)
		case *policyv1.PodDisruptionBudget:
			selects("the disruption budget", o.Spec.Selector)
		case *networkingv1.NetworkPolicy:
			selects("the network policy", &o.Spec.PodSelector)
			for _, rule := range o.Spec.Ingress {
				named("network policy", rule.Ports[0].Port)
			}
		case *autoscalingv2.HorizontalPodAutoscaler:
			if to := o.Spec.ScaleTargetRef; to.Kind != "Deployment" || to.Name != d.Name || to.APIVersion != "apps/v1" {
				t.Errorf("the autoscaler scales %+v", to)
			}
			if v := o.Spec.Metrics[0].Pods.Target.AverageValue; v.MilliValue() != 50 {
				t.Errorf("the autoscaler wants %v", v)
			}
		default:
			t.Errorf("a %T", o)
		}
	}
}

// Mistakes that an API server refuses, or ignores without a word, are found.
func TestMistakes(t *testing.T) {
	text := manifest(t)
	for old, mistake := range map[string]string{
		"periodSeconds: 2":           "periodSecond: 2",
		"readOnlyRootFilesystem:":    "readonlyRootFilesystem:",
		"apiVersion: autoscaling/v2": "apiVersion: autoscaling/v2beta2",
		"memory: 256Mi":              "memory: 256 MB",
		"replicas: 2\n":              "replicas: two\n",
		"maxUnavailable: 1\n":        "maxUnavailable: 1\n  maxUnavailable: 2\n",
	} {
		if !strings.Contains(text, old) {
			t.Errorf("%q is not there", old)
		} else if _, err := objects(strings.Replace(text, old, mistake, 1)); err == nil {
			t.Errorf("%q is accepted", mistake)
		}
	}
}
