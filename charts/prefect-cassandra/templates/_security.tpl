{{/*
Pod Security level `restricted`, and a read-only root on top of it. Users cannot switch these off: no value reaches them.
*/}}

{{/* (dict "uid" 999 "gid" 999) -> a pod's securityContext. The ids are numbers because admission cannot look names up in an image. */}}
{{- define "pc.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .uid }}
runAsGroup: {{ .gid }}
fsGroup: {{ .gid }}
# Changing the owner of every file of a large volume at each start would take minutes.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* any context -> a container's securityContext. */}}
{{- define "pc.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* any context -> volumes for a Prefect program with a read-only root. */}}
{{- define "pc.prefectVolumes" -}}
- name: tmp
  emptyDir: {}
- name: home
  emptyDir: {}
{{- end -}}

{{/* any context -> where they go. */}}
{{- define "pc.prefectMounts" -}}
- name: tmp
  mountPath: /tmp
- name: home
  mountPath: /home/prefect
{{- end -}}

{{/*
any context -> environment of every Prefect program. PREFECT_HOME defaults to a folder of HOME, which is the emptyDir.
*/}}
{{- define "pc.prefectEnv" -}}
- name: HOME
  value: /home/prefect
- name: DO_NOT_TRACK
  value: "1"
{{- end -}}

{{/* . -> scheduling settings that all pods share (podDefaults). */}}
{{- define "pc.podScheduling" -}}
{{- with .Values.podDefaults.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podDefaults.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podDefaults.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* a Resources value -> a container's resources, without the amounts that are empty. */}}
{{- define "pc.resources" -}}
{{- range $kind := list "requests" "limits" }}
{{- $amounts := get $ $kind }}
{{ $kind }}: {{- if not (or $amounts.cpu $amounts.memory) }} {}{{ end }}
  {{- with $amounts.cpu }}
  cpu: {{ . | quote }}
  {{- end }}
  {{- with $amounts.memory }}
  memory: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/*
(dict "root" . "uid" 10001 "account" "worker" "token" false) -> the part of a pod's spec that is the same everywhere: who it runs as,
what it may, where it may run. The API token is mounted only where "token" says so.
*/}}
{{- define "pc.podBase" -}}
serviceAccountName: {{ include "pc.fullname" (list .root .account) }}
automountServiceAccountToken: {{ .token | default false }}
# Environment variables for every Service of the namespace would only confuse programs that read theirs from the environment.
enableServiceLinks: false
securityContext: {{- include "pc.podSecurity" (dict "uid" .uid "gid" .uid) | nindent 2 }}
{{ include "pc.pullSecrets" .root }}
{{ include "pc.podScheduling" .root }}
{{- end -}}
