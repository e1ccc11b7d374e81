{{/*
. -> metadata of what exists only while `helm uninstall` cleans up behind a release. Jobs that hooks, flows or `flows push` made are no part
of the release for Helm, which leaves them, running ones included. By then the worker's Role is gone, so nothing makes new ones.
*/}}
{{- define "pc.uninstall.metadata" -}}
name: {{ include "pc.fullname" (list . "uninstall") }}
labels: {{- include "pc.labels" (list . "uninstall") | nindent 2 }}
annotations:
  helm.sh/hook: post-delete
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end -}}
