{{/*
Secrets are made once and kept: a value that was given > what the live Secret holds > random.

`lookup` answers nothing under `helm template`, `helm diff` and Argo CD, so there every rendering makes new passwords.
Who installs that way names existing Secrets (`existingSecret`), and `podDefaults.generateSecrets: false` refuses to render
while one is missing.
*/}}

{{/* (dict "root" . "name" <Secret> "key" <key> "length" 32 "value" <optional>) -> the plain text to store. */}}
{{- define "pc.secret" -}}
{{- $live := lookup "v1" "Secret" .root.Release.Namespace .name -}}
{{- $kept := dig "data" .key "" ($live | default dict) -}}
{{- if .value -}}
{{- .value -}}
{{- else if $kept -}}
{{- $kept | b64dec -}}
{{- else -}}
{{- randAlphaNum (.length | default 32 | int) -}}
{{- end -}}
{{- end -}}

{{/* (list . "server") -> metadata lines of a Secret of ours: `helm uninstall` leaves it, because the data it opens stays too. */}}
{{- define "pc.secretMetadata" -}}
labels: {{- include "pc.labels" . | nindent 2 }}
annotations:
  helm.sh/resource-policy: keep
{{- end -}}

{{/* . -> the Secret (name, key) with Prefect's basic auth, ours or the external server's, as a secretKeyRef; empty if there is none. */}}
{{- define "pc.authRef" -}}
{{- if .Values.server.enabled -}}
name: {{ .Values.server.auth.existingSecret | default (include "pc.fullname" (list . "server-auth")) }}
key: {{ .Values.server.auth.existingSecretKey }}
{{- else if .Values.externalServer.authSecret.name -}}
name: {{ .Values.externalServer.authSecret.name }}
key: {{ .Values.externalServer.authSecret.key }}
{{- end -}}
{{- end -}}

{{/* . -> the URL of Prefect's API as pods see it. */}}
{{- define "pc.apiUrl" -}}
{{- if .Values.server.enabled -}}
{{- printf "http://%s:4200/api" (include "pc.fullname" (list . "server")) -}}
{{- else -}}
{{- .Values.externalServer.apiUrl -}}
{{- end -}}
{{- end -}}

{{/* . -> environment of every client of Prefect's API; the credential by reference only. */}}
{{- define "pc.apiEnv" -}}
- name: PREFECT_API_URL
  value: {{ include "pc.apiUrl" . | quote }}
{{- with include "pc.authRef" . }}
- name: {{ ternary "PREFECT_API_KEY" "PREFECT_API_AUTH_STRING" (eq (include "pc.authKind" $) "api-key") }}
  valueFrom:
    secretKeyRef: {{- . | nindent 6 }}
{{- end }}
{{- end -}}

{{/* . -> "basic" for a server with basic auth, "api-key" for Prefect Cloud. */}}
{{- define "pc.authKind" -}}
{{- if .Values.server.enabled -}}basic{{- else -}}{{ .Values.externalServer.authKind }}{{- end -}}
{{- end -}}

{{/* . -> the Secret (name, key) with the server's database URL. */}}
{{- define "pc.databaseRef" -}}
{{- if .Values.postgres.external.existingSecret -}}
name: {{ .Values.postgres.external.existingSecret }}
key: {{ .Values.postgres.external.existingSecretKey }}
{{- else -}}
name: {{ .Values.postgres.auth.existingSecret | default (include "pc.fullname" (list . "postgres")) }}
key: connection-url
{{- end -}}
{{- end -}}

{{/* . -> the roles that programs log in as, one per line: two for the orchestration keyspaces, the owner, two per application keyspace. */}}
{{- define "pc.roles" -}}
{{- $roles := list "prefect_owner" "prefect_state" "prefect_ledger" -}}
{{- range $keyspace := keys .Values.keyspaces | sortAlpha -}}
{{- $roles = append $roles (printf "%s_flow" $keyspace) -}}
{{- $roles = append $roles (printf "%s_reader" $keyspace) -}}
{{- end -}}
{{- join "\n" $roles -}}
{{- end -}}

{{/* (list . "flights_flow") -> the Secret with that role's login: R-login-flights-flow, or the same under a prefix of the user's. */}}
{{- define "pc.loginSecret" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" (include "pc.loginPrefix" $root) (index . 1 | replace "_" "-") -}}
{{- end -}}

{{/* . -> what the names of all login Secrets begin with. */}}
{{- define "pc.loginPrefix" -}}
{{- .Values.logins.existingPrefix | default (include "pc.fullname" (list . "login")) -}}
{{- end -}}

{{/* . -> the Secret with the superuser's username and password. */}}
{{- define "pc.superuserSecret" -}}
{{- .Values.logins.superuserSecret | default (include "pc.fullname" (list . "cassandra-superuser")) -}}
{{- end -}}
