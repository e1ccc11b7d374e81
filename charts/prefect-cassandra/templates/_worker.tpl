{{/*
. -> the worker's settings. Prefect hands every PREFECT_* setting of the worker on to the flow pods, which is how those learn the
API's address; what is secret in it is replaced by a reference, because the worker is told where the Secret is.
*/}}
{{- define "pc.workerEnv" -}}
- name: PREFECT_WORKER_QUERY_SECONDS
  value: {{ .Values.worker.querySeconds | quote }}
- name: PREFECT_WORKER_PREFETCH_SECONDS
  value: {{ .Values.worker.prefetchSeconds | quote }}
# A run cancelled while its pod is pending is ended by the worker; otherwise it would start first.
- name: PREFECT_WORKER_ENABLE_CANCELLATION
  value: "true"
# Otherwise the observer watches the whole cluster, which its Role forbids.
- name: PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES
  value: {{ .Release.Namespace | quote }}
# Otherwise the worker reads the uid of kube-system, which its Role forbids.
- name: PREFECT_INTEGRATIONS_KUBERNETES_CLUSTER_UID
  value: {{ printf "%s/%s" .Release.Namespace .Release.Name | sha256sum | trunc 32 | quote }}
{{- $auth := include "pc.authRef" . | fromYaml }}
{{- if $auth.name }}
{{- $kind := ternary "API_KEY" "API_AUTH_STRING" (eq (include "pc.authKind" .) "api-key") }}
- name: PREFECT_INTEGRATIONS_KUBERNETES_WORKER_{{ $kind }}_SECRET_NAME
  value: {{ $auth.name | quote }}
- name: PREFECT_INTEGRATIONS_KUBERNETES_WORKER_{{ $kind }}_SECRET_KEY
  value: {{ $auth.key | quote }}
{{- end }}
{{- end -}}
