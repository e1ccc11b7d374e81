{{/*
(list . .Values.images.platform) -> repository@digest, or repository:tag. A digest wins because it cannot be moved;
without a tag it is the chart's appVersion.
*/}}
{{- define "pc.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" (include "pc.repository" .) $image.digest -}}
{{- else -}}
{{- printf "%s:%s" (include "pc.repository" .) ($image.tag | default (index . 0).Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/*
(list . .Values.images.platform) -> its repository with the registry. images.registry is for the project's own two images; one
that names its registry, by the rule that Docker has for names, keeps it.
*/}}
{{- define "pc.repository" -}}
{{- $images := (index . 0).Values.images -}}
{{- $repository := (index . 1).repository -}}
{{- $ours := has $repository (list $images.platform.repository $images.flows.repository) -}}
{{- if and $ours $images.registry (not (regexMatch "^(localhost|[^/]*[.:][^/]*)/" $repository)) -}}
{{- printf "%s/%s" $images.registry $repository -}}
{{- else -}}
{{- $repository -}}
{{- end -}}
{{- end -}}

{{/* . -> the pod's imagePullSecrets, or nothing. */}}
{{- define "pc.pullSecrets" -}}
{{- with .Values.images.pullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end -}}
{{- end -}}
