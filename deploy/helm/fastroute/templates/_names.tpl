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
