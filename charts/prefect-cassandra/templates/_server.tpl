{{/* Whether there is a server of ours, its database, and what its programs are given. */}}

{{/* . -> "yes" if the bundled Postgres is installed, else nothing. */}}
{{- define "pc.postgresEnabled" -}}
{{- if and .Values.server.enabled (not .Values.postgres.external.existingSecret) -}}yes{{- end -}}
{{- end -}}

{{/* . -> environment of every program that opens the server's database. */}}
{{- define "pc.databaseEnv" -}}
- name: PREFECT_SERVER_DATABASE_CONNECTION_URL
  valueFrom:
    secretKeyRef: {{- include "pc.databaseRef" . | nindent 6 }}
{{- end -}}

{{/* . -> the server's address as a browser sees it. */}}
{{- define "pc.uiUrl" -}}
{{- $ingress := .Values.server.ingress -}}
{{- if .Values.server.uiUrl -}}
{{- .Values.server.uiUrl | trimSuffix "/" -}}
{{- else if $ingress.enabled -}}
{{- printf "%s://%s" (ternary "https" "http" (ne $ingress.tlsSecret "")) $ingress.host -}}
{{- else -}}
http://localhost:4200
{{- end -}}
{{- end -}}

{{/*
. -> the pod of the migration Job. It stands here because the Job's name is made of its hash: a Job cannot be changed, so
another image or another database makes another Job.
*/}}
{{- define "pc.migratePod" -}}
metadata:
  labels: {{- include "pc.podLabels" (list . "migrate") | nindent 4 }}
spec:
  restartPolicy: Never
  {{- include "pc.podBase" (dict "root" . "uid" 10001 "account" "hooks") | nindent 2 }}
  initContainers:
    - name: wait-for-postgres
      {{- include "pc.migrateContainer" . | nindent 6 }}
      command: [python, -c]
      args:
        - |
          {{- .Files.Get "files/wait_for_postgres.py" | nindent 10 }}
  containers:
    - name: migrate
      {{- include "pc.migrateContainer" . | nindent 6 }}
      command: [prefect, server, database, upgrade, "-y"]
  volumes: {{- include "pc.prefectVolumes" . | nindent 4 }}
{{- end -}}

{{/* . -> what both of its containers share. */}}
{{- define "pc.migrateContainer" -}}
image: {{ include "pc.image" (list . .Values.images.platform) }}
imagePullPolicy: {{ .Values.images.platform.pullPolicy }}
securityContext: {{- include "pc.containerSecurity" . | nindent 2 }}
env:
  {{- include "pc.prefectEnv" . | nindent 2 }}
  {{- include "pc.databaseEnv" . | nindent 2 }}
resources: {{- include "pc.resources" .Values.bootstrap.resources | nindent 2 }}
volumeMounts: {{- include "pc.prefectMounts" . | nindent 2 }}
{{- end -}}

{{/* . -> what the server and its init container share: image, settings, resources, mounts. */}}
{{- define "pc.serverContainer" -}}
{{- $server := .Values.server -}}
image: {{ include "pc.image" (list . .Values.images.platform) }}
imagePullPolicy: {{ .Values.images.platform.pullPolicy }}
securityContext: {{- include "pc.containerSecurity" . | nindent 2 }}
env:
  {{- include "pc.prefectEnv" . | nindent 2 }}
  {{- include "pc.databaseEnv" . | nindent 2 }}
  - name: PREFECT_SERVER_DATABASE_MIGRATE_ON_START
    value: "false"
  - name: PREFECT_SERVER_API_AUTH_STRING
    valueFrom:
      secretKeyRef: {{- include "pc.authRef" . | nindent 8 }}
  - name: PREFECT_SERVER_UI_API_URL
    value: {{ printf "%s/api" (include "pc.uiUrl" .) | quote }}
  # The UI is copied here and given its address; the root is read-only.
  - name: PREFECT_SERVER_UI_STATIC_DIRECTORY
    value: /home/prefect/ui
  - name: PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT
    value: "false"
  - name: PREFECT_SERVER_ANALYTICS_ENABLED
    value: "false"
  # Without this nothing ever leaves the database but events.
  - name: PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED
    value: "events,flow_runs"
  - name: PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD
    value: PT{{ mul $server.retention.flowRunsDays 86400 }}S
  - name: PREFECT_SERVER_EVENTS_RETENTION_PERIOD
    value: PT{{ mul $server.retention.eventsDays 86400 }}S
  - name: PREFECT_SERVER_LOGGING_LEVEL
    value: {{ $server.logLevel }}
  {{- with $server.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources: {{- include "pc.resources" $server.resources | nindent 2 }}
volumeMounts: {{- include "pc.prefectMounts" . | nindent 2 }}
{{- end -}}
