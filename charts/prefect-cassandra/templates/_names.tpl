{{/*
Names and labels of every object.

All objects are called <release>-<thing>, so that two releases share a namespace and anyone can guess a name from
the release's. Nothing but these helpers makes a name: a typed name would drift.
*/}}

{{/* (list . "server") -> <release>-server. 52 characters leave room for what controllers append to pods and Jobs. */}}
{{- define "pc.fullname" -}}
{{- $root := index . 0 -}}
{{- $thing := index . 1 -}}
{{- $room := sub 51 (len $thing) | int -}}
{{- printf "%s-%s" ($root.Release.Name | trunc $room | trimSuffix "-") $thing -}}
{{- end -}}

{{/*
(list . "server") -> the labels a selector may use, in Services, workloads, budgets and NetworkPolicies alike. They never
change during the life of a release, because selectors of workloads are immutable.
The component stands under a key of our own: prefect-kubernetes overwrites app.kubernetes.io/name (with the deployment's
name) and app.kubernetes.io/managed-by on every flow pod, so a selector on those would miss exactly the flow pods.
*/}}
{{- define "pc.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
prefect-cassandra.io/component: {{ index . 1 }}
{{- end -}}

{{/* (list . "server") -> the labels of a pod template. Without the chart's version, so that an upgrade restarts nothing by itself. */}}
{{- define "pc.podLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{ include "pc.selector" . }}
{{- end -}}

{{/* (list . "server") -> the labels of an object's own metadata. Never for pod templates: the chart's version is among them. */}}
{{- define "pc.labels" -}}
{{- $root := index . 0 -}}
{{ include "pc.podLabels" . }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}
