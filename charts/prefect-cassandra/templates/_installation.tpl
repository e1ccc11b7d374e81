{{/*
. -> what programs outside of the release need to know of it, as JSON: `prefect-cassandra` reads it instead of guessing
names from the release's. Names of Secrets are in it, never what they hold. Keys are only ever added: the program that reads
it may be older or newer than the chart.
*/}}
{{- define "pc.installation" -}}
{{- $logins := dict -}}
{{- range $role := include "pc.roles" . | splitList "\n" -}}
{{- $_ := set $logins $role (include "pc.loginSecret" (list $ $role)) -}}
{{- end -}}
{{- dict
  "chartVersion" .Chart.Version
  "appVersion" .Chart.AppVersion
  "release" .Release.Name
  "namespace" .Release.Namespace
  "cassandra" (include "pc.installation.cassandra" . | fromJson)
  "server" (include "pc.installation.server" . | fromJson)
  "workPool" (include "pc.installation.workPool" . | fromJson)
  "logins" $logins
  "superuserSecret" (ternary (include "pc.superuserSecret" .) .Values.logins.superuserSecret .Values.cassandra.enabled)
  "images" (dict
    "platform" (include "pc.image" (list . .Values.images.platform))
    "flows" (include "pc.image" (list . .Values.images.flows)))
  "pods" (include "pc.installation.pods" . | fromJson)
  | toPrettyJson -}}
{{- end -}}

{{/* . -> how clients find the database and whom they trust. An empty caFile with tls means the public authorities. */}}
{{- define "pc.installation.cassandra" -}}
{{- $secret := include "pc.cassandra.caSecret" . -}}
{{- $external := .Values.externalCassandra -}}
{{- dict
  "enabled" .Values.cassandra.enabled
  "contactPoints" (include "pc.contactPoints" . | splitList "," | compact)
  "port" (include "pc.cqlPort" . | int)
  "localDatacenter" (include "pc.datacenter" .)
  "replicas" (ternary (.Values.cassandra.replicas | int) 0 .Values.cassandra.enabled)
  "tls" (ternary .Values.cassandra.tls.client $external.tls.enabled .Values.cassandra.enabled)
  "caFile" (ternary "/etc/prefect-cassandra/ca/ca.crt" "" (ne $secret ""))
  "caSecret" (ternary (dict "name" $secret "key" "ca.crt") nil (ne $secret ""))
  | toJson -}}
{{- end -}}

{{/* . -> Prefect's API as pods of the release see it, and the Service behind it if it is ours. */}}
{{- define "pc.installation.server" -}}
{{- $auth := include "pc.authRef" . | fromYaml -}}
{{- $ours := .Values.server.enabled -}}
{{- dict
  "enabled" $ours
  "service" (ternary (dict "name" (include "pc.fullname" (list . "server")) "port" 4200) nil $ours)
  "apiUrl" (include "pc.apiUrl" .)
  "authKind" (include "pc.authKind" .)
  "authSecret" (ternary $auth nil (hasKey $auth "name"))
  "uiUrl" (ternary (include "pc.uiUrl" .) "" $ours)
  | toJson -}}
{{- end -}}

{{/* . -> where runs wait, and whether a worker of this release takes them. */}}
{{- define "pc.installation.workPool" -}}
{{- $queues := list -}}
{{- range .Values.workPool.queues -}}{{- $queues = append $queues .name -}}{{- end -}}
{{- dict "enabled" .Values.worker.enabled "name" .Values.workPool.name "queues" $queues | toJson -}}
{{- end -}}

{{/* . -> what a pod that is added to the release needs to be admitted, placed and allowed to pull. */}}
{{- define "pc.installation.pods" -}}
{{- $defaults := .Values.podDefaults -}}
{{- dict
  "serviceAccounts" (dict
    "hooks" (include "pc.fullname" (list . "hooks"))
    "flow" (include "pc.fullname" (list . "flow")))
  "imagePullSecrets" .Values.images.pullSecrets
  "nodeSelector" $defaults.nodeSelector
  "tolerations" $defaults.tolerations
  "priorityClassName" $defaults.priorityClassName
  | toJson -}}
{{- end -}}
