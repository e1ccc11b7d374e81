{{/*
. -> what is wrong with the Cassandra values, one problem per line; nothing if all is well. What a running cluster does not
survive is compared with the live objects; `helm template` sees none and finds nothing.
*/}}
{{- define "pc.cassandra.problems" -}}
{{- if .Values.cassandra.enabled -}}
{{- include "pc.cassandra.problems.values" . -}}
{{- include "pc.cassandra.problems.settings" . -}}
{{- include "pc.cassandra.problems.live" . -}}
{{- else if not .Values.externalCassandra.contactPoints -}}
{{ "externalCassandra.contactPoints: is empty while cassandra.enabled is false; name at least one node, or set cassandra.enabled=true\n" }}
{{- end -}}
{{- end -}}

{{- define "pc.cassandra.problems.values" -}}
{{- $cassandra := .Values.cassandra -}}
{{- if not $cassandra.resources.limits.memory -}}
{{ "cassandra.resources.limits.memory: is empty, and the Java heap follows from it; set for example 4Gi\n" }}
{{- end -}}
{{- if eq (len $cassandra.racks) 2 -}}
{{ "cassandra.racks: has two names, with which three copies cannot be spread evenly and Cassandra refuses a third node; name one, or at least three\n" }}
{{- end -}}
{{- if and $cassandra.tls.existingSecret $cassandra.tls.issuer.name -}}
{{ "cassandra.tls: both existingSecret and issuer.name are set; keep the one that shall give the certificate\n" }}
{{- end -}}
{{- if and (include "pc.cassandra.tlsEnabled" .) (not $cassandra.tls.existingSecret) (not $cassandra.tls.issuer.name) (not .Values.podDefaults.generateSecrets) -}}
{{ "cassandra.tls.existingSecret: is empty and podDefaults.generateSecrets is false; name a Secret with tls.crt, tls.key and ca.crt, or set cassandra.tls.issuer.name\n" }}
{{- end -}}
{{- end -}}

{{/* A setting that Cassandra does not know keeps every node from starting, so names are compared with those of 5.0. */}}
{{- define "pc.cassandra.problems.settings" -}}
{{- $known := .Files.Get "files/cassandra/settings.txt" | splitList "\n" -}}
{{- range $name := keys .Values.cassandra.config | sortAlpha -}}
{{- if not (has $name $known) -}}
{{ printf "cassandra.config.%s: is no setting of Cassandra 5.0, or one that this chart decides; correct the name, or look for a value of its own under cassandra\n" $name }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pc.cassandra.problems.live" -}}
{{- $cassandra := .Values.cassandra -}}
{{- $name := include "pc.fullname" (list . "cassandra") -}}
{{- with lookup "v1" "ConfigMap" .Release.Namespace $name -}}
{{- $cluster := index .data "cluster.json" | default "{}" | fromJson -}}
{{- $config := index .data "cassandra.json" | default "{}" | fromJson -}}
{{- include "pc.cassandra.fixed" (list "clusterName" $cassandra.clusterName (get $config "cluster_name")) -}}
{{- include "pc.cassandra.fixed" (list "datacenter" $cassandra.datacenter (get $cluster "datacenter")) -}}
{{- include "pc.cassandra.fixed" (list "racks" (join "," $cassandra.racks) (get $cluster "racks" | default list | join ",")) -}}
{{- end -}}
{{- end -}}

{{/* (list "racks" <wanted> <live>) -> a problem if a name that nodes have on their disks was changed. */}}
{{- define "pc.cassandra.fixed" -}}
{{- $live := index . 2 -}}
{{- if and $live (ne (index . 1) $live) -}}
{{ printf "cassandra.%s: is %s and the nodes were made with %s, without which they do not start again; set it back\n" (index . 0) (index . 1) $live }}
{{- end -}}
{{- end -}}
