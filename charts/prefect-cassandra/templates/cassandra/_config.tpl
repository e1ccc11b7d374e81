{{/* What the nodes' ConfigMap holds. */}}

{{/* . -> cassandra.yaml without what only a pod knows, as JSON: the start program has no parser for YAML. */}}
{{- define "pc.cassandra.config" -}}
{{- $values := .Values.cassandra -}}
{{- $config := .Files.Get "files/cassandra/cassandra.yaml" | fromYaml -}}
{{- $_ := set $config "cluster_name" $values.clusterName -}}
{{- if $values.repair.enabled -}}
{{- $_ := set $config "auto_repair" (include "pc.cassandra.repair" . | fromJson) -}}
{{- end -}}
{{- $pem := dict
  "ssl_context_factory" (dict "class_name" "org.apache.cassandra.security.PEMBasedSslContextFactory")
  "keystore" "/run/cassandra/conf/keystore.pem"
  "truststore" "/etc/prefect-cassandra/tls/ca.crt" -}}
{{- if $values.tls.client -}}
{{- $client := dict "enabled" true "optional" $values.tls.optional -}}
{{- $_ := set $config "client_encryption_options" (merge $client $pem) -}}
{{- end -}}
{{- if $values.tls.internode -}}
{{- $internode := dict "internode_encryption" "all" "optional" $values.tls.optional "require_client_auth" true -}}
{{- $_ := set $config "server_encryption_options" (merge $internode $pem) -}}
{{- end -}}
{{- mergeOverwrite $config (deepCopy $values.config) | toPrettyJson -}}
{{- end -}}

{{/* . -> the setting auto_repair. Incremental repair is cheap but only finds what was written since the last one. */}}
{{- define "pc.cassandra.repair" -}}
{{- $repair := .Values.cassandra.repair -}}
{{- $kinds := dict "full" (dict "enabled" true "min_repair_interval" $repair.fullInterval) -}}
{{- with $repair.incrementalInterval -}}
{{- $_ := set $kinds "incremental" (dict "enabled" true "min_repair_interval" .) -}}
{{- end -}}
{{- dict "enabled" true "repair_type_overrides" $kinds | toJson -}}
{{- end -}}

{{/* . -> what changes neither a node's configuration nor its pod; the start program reads it anew each time. */}}
{{- define "pc.cassandra.cluster" -}}
{{- $values := .Values.cassandra -}}
{{- dict
  "service" (include "pc.fullname" (list . "cassandra-nodes"))
  "replicas" ($values.replicas | int)
  "datacenter" $values.datacenter
  "racks" $values.racks
  "heap" $values.heap
  "jvmOptions" $values.jvmOptions
  "replace" $values.replace
  | toPrettyJson -}}
{{- end -}}

{{/*
. -> a hash that changes when running nodes need a restart. More replicas need none, nor does a new start program: it matters
at the next start, and a chart's upgrade must not restart a database by itself.
*/}}
{{- define "pc.cassandra.checksum" -}}
{{- $values := .Values.cassandra -}}
{{- $parts := list
  (include "pc.cassandra.config" .)
  (.Files.Get "files/cassandra/jvm-server.options")
  (.Files.Get "files/cassandra/logback.xml")
  (toJson (list $values.datacenter $values.racks $values.heap $values.jvmOptions)) -}}
{{- join "\n" $parts | sha256sum -}}
{{- end -}}

{{/* . -> "yes" if any connection is encrypted, else nothing. */}}
{{- define "pc.cassandra.tlsEnabled" -}}
{{- if and .Values.cassandra.enabled (or .Values.cassandra.tls.client .Values.cassandra.tls.internode) -}}yes{{- end -}}
{{- end -}}

{{/* . -> the Secret with tls.crt, tls.key and ca.crt. */}}
{{- define "pc.cassandra.tlsSecret" -}}
{{- .Values.cassandra.tls.existingSecret | default (include "pc.fullname" (list . "cassandra-tls")) -}}
{{- end -}}

{{/* . -> the Secret whose ca.crt clients trust; empty if they need none. Mount that key alone: the node's key may be beside it. */}}
{{- define "pc.cassandra.caSecret" -}}
{{- if not .Values.cassandra.enabled -}}
{{- if .Values.externalCassandra.tls.enabled -}}{{ .Values.externalCassandra.tls.caSecret }}{{- end -}}
{{- else if .Values.cassandra.tls.client -}}
{{- include "pc.cassandra.tlsSecret" . -}}
{{- end -}}
{{- end -}}

{{/* . -> names in the certificate, as JSON. */}}
{{- define "pc.cassandra.certificateNames" -}}
{{- $names := list "localhost" -}}
{{- $nodes := include "pc.fullname" (list . "cassandra-nodes") -}}
{{- range $service := list (include "pc.fullname" (list . "cassandra")) $nodes (printf "*.%s" $nodes) -}}
{{- range $suffix := list "" (printf ".%s" $.Release.Namespace) (printf ".%s.svc" $.Release.Namespace) (printf ".%s.svc.cluster.local" $.Release.Namespace) -}}
{{- $names = append $names (printf "%s%s" $service $suffix) -}}
{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
