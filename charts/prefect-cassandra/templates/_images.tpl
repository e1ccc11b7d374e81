{{/*
(list . .Values.images.platform) -> repository@digest, or repository:tag. A digest wins because it cannot be moved;
without a tag it is the chart's appVersion.
*/}}
{{- define "pc.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default $root.Chart.AppVersion) -}}
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
