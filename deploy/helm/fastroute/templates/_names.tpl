{{- /* Names and labels that several objects use. */ -}}
{{- define "fastroute.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* The name of the release, followed by the name of the chart unless the former contains it. */ -}}
{{- define "fastroute.fullname" -}}
{{- $name := include "fastroute.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "fastroute.selector" -}}
app.kubernetes.io/name: {{ include "fastroute.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fastroute.labels" -}}
{{ include "fastroute.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* Name of a cluster-scoped object: includes the namespace, so that releases in two namespaces do not conflict. */ -}}
{{- define "fastroute.clustername" -}}
{{- if eq .Release.Namespace (include "fastroute.fullname" .) -}}
{{- include "fastroute.fullname" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace (include "fastroute.fullname" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* A duration (30s, 5m, 500ms, 1.5h) in seconds, rounded up. */ -}}
{{- define "fastroute.seconds" -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $factor := get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0) $unit -}}
{{- ceil (mulf (float64 (trimSuffix $unit .)) $factor) -}}
{{- end -}}

{{- /* The permissions for objects in namespaces: of the ClusterRole, or of a Role in each of watchNamespaces. */ -}}
{{- define "fastroute.namespaceRules" -}}
# Objects that routes, Gateways and grants refer to.
- apiGroups: [""]
  resources: [services, secrets, configmaps]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
# Objects that users apply.
- apiGroups: [gateway.networking.k8s.io]
  resources:
    - gateways
    - listenersets
    - httproutes
    - grpcroutes
    - tlsroutes
    - tcproutes
    - udproutes
    - referencegrants
    - backendtlspolicies
  verbs: [list, watch]
- apiGroups: [gateway.networking.x-k8s.io]
  resources: [xtelemetrypolicies]
  verbs: [list, watch]
# Statuses and Events of these objects.
- apiGroups: [gateway.networking.k8s.io]
  resources:
    - gateways/status
    - listenersets/status
    - httproutes/status
    - grpcroutes/status
    - tlsroutes/status
    - tcproutes/status
    - udproutes/status
    - backendtlspolicies/status
  verbs: [update]
- apiGroups: [gateway.networking.x-k8s.io]
  resources: [xtelemetrypolicies/status]
  verbs: [update]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
