{{/*
. -> the base job template. files/base-job-template.json is JSON with two kinds of marks: {{ name }} is a job variable, which Prefect
fills in for each run, and [[ ]] is Helm's, filled in here. Labels, lists and objects from the values, the security context that
all pods share and the variables' defaults are put in as data. Prefect adds a deployment's own labels to the fixed ones.
*/}}
{{- define "pc.baseJobTemplate" -}}
{{- $text := .Files.Get "files/base-job-template.json" | replace "{{" "{{ `{{` }}" | replace "[[" "{{" | replace "]]" "}}" -}}
{{- $template := tpl $text . | fromJson -}}
{{- $variables := $template.variables.properties -}}
{{- range $name, $default := include "pc.jobDefaults" . | fromJson -}}
{{- $_ := set (get $variables $name) "default" $default -}}
{{- end -}}
{{- /* Whoever makes a deployment chooses its login. In a new deployment and in a run that is asked for, the server refuses one that is not listed. */ -}}
{{- $logins := list "none" -}}
{{- range $keyspace := keys .Values.keyspaces | sortAlpha -}}
{{- $name := replace "_" "-" $keyspace -}}
{{- $logins = concat $logins (list (printf "%s-flow" $name) (printf "%s-reader" $name)) -}}
{{- end -}}
{{- $_ := set $variables.login "enum" $logins -}}
{{- $job := $template.job_configuration.job_manifest -}}
{{- $pod := $job.spec.template -}}
{{- $_ := set $job.metadata "labels" (include "pc.podLabels" (list . "flow") | fromYaml) -}}
{{- $_ := set $pod.metadata "labels" $job.metadata.labels -}}
{{- $_ := set $pod.spec "securityContext" (include "pc.podSecurity" (dict "uid" 10001 "gid" 10001) | fromYaml) -}}
{{- with .Values.images.pullSecrets -}}
{{- $secrets := list -}}
{{- range . -}}{{- $secrets = append $secrets (dict "name" .) -}}{{- end -}}
{{- $_ := set $pod.spec "imagePullSecrets" $secrets -}}
{{- end -}}
{{- $container := index $pod.spec.containers 0 -}}
{{- $_ := set $container "securityContext" (include "pc.containerSecurity" . | fromYaml) -}}
{{- $_ := set $container "env" (concat $container.env .Values.flows.extraEnv (include "pc.flowAuthEnv" . | fromJsonArray)) -}}
{{- if include "pc.caVolume" . -}}
{{- $_ := set $container "volumeMounts" (concat $container.volumeMounts (include "pc.caMount" . | fromYamlArray)) -}}
{{- $_ := set $pod.spec "volumes" (concat $pod.spec.volumes (include "pc.caVolume" . | fromYamlArray)) -}}
{{- end -}}
{{- toPrettyJson $template -}}
{{- end -}}

{{/*
. -> the credential of Prefect's API for flow pods: a list of at most one reference. Our worker hands its own credential on as the
same reference; this one is for a worker that was started elsewhere and has none to hand on.
*/}}
{{- define "pc.flowAuthEnv" -}}
{{- $auth := include "pc.authRef" . | fromYaml -}}
{{- if $auth.name -}}
{{- $name := ternary "PREFECT_API_KEY" "PREFECT_API_AUTH_STRING" (eq (include "pc.authKind" .) "api-key") -}}
{{- list (dict "name" $name "valueFrom" (dict "secretKeyRef" $auth)) | toJson -}}
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{/* . -> defaults of job variables by name; an empty one is left out, so that the key disappears from the Job. */}}
{{- define "pc.jobDefaults" -}}
{{- $found := dict -}}
{{- range $key, $value := .Values.workPool.jobDefaults -}}
{{- if ne (toString $value) "" -}}
{{- $_ := set $found (snakecase $key) (ternary (int $value) $value (not (kindIs "string" $value))) -}}
{{- end -}}
{{- end -}}
{{- with .Values.podDefaults.nodeSelector }}{{ $_ := set $found "node_selector" . }}{{ end -}}
{{- with .Values.podDefaults.tolerations }}{{ $_ := set $found "tolerations" . }}{{ end -}}
{{- with .Values.podDefaults.priorityClassName }}{{ $_ := set $found "priority_class_name" . }}{{ end -}}
{{- toJson $found -}}
{{- end -}}

{{/* . -> the pool and its queues; null is no limit. */}}
{{- define "pc.pool" -}}
{{- $queues := list -}}
{{- range .Values.workPool.queues -}}
{{- $limit := ternary (int .concurrencyLimit) nil (gt (int .concurrencyLimit) 0) -}}
{{- $queue := dict "name" .name "description" .description "priority" (int .priority) "concurrencyLimit" $limit -}}
{{- $queues = append $queues $queue -}}
{{- end -}}
{{- $limit := ternary (int .Values.workPool.concurrencyLimit) nil (gt (int .Values.workPool.concurrencyLimit) 0) -}}
{{- dict "name" .Values.workPool.name "concurrencyLimit" $limit "queues" $queues | toPrettyJson -}}
{{- end -}}
