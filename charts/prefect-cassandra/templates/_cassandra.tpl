{{/* How clients find Cassandra, ours or an external one. */}}

{{/* . -> host names, comma-separated. */}}
{{- define "pc.contactPoints" -}}
{{- if .Values.cassandra.enabled -}}
{{- include "pc.fullname" (list . "cassandra") -}}
{{- else -}}
{{- join "," .Values.externalCassandra.contactPoints -}}
{{- end -}}
{{- end -}}

{{/* . -> the port for CQL. */}}
{{- define "pc.cqlPort" -}}
{{- if .Values.cassandra.enabled -}}9042{{- else -}}{{ .Values.externalCassandra.port | int }}{{- end -}}
{{- end -}}

{{/* . -> the datacenter clients call local. */}}
{{- define "pc.datacenter" -}}
{{- if .Values.cassandra.enabled -}}{{ .Values.cassandra.datacenter }}{{- else -}}{{ .Values.externalCassandra.localDatacenter }}{{- end -}}
{{- end -}}

{{/* . -> copies of each row where a keyspace says nothing: three, or as many as there are nodes. */}}
{{- define "pc.copies" -}}
{{- if .Values.cassandra.enabled -}}{{ min 3 (.Values.cassandra.replicas | int) }}{{- else -}}{{ .Values.externalCassandra.replication | default 3 | int }}{{- end -}}
{{- end -}}

{{/* . -> a volume with the authority of Cassandra's client port, that key alone, as a list of at most one; empty without TLS. */}}
{{- define "pc.caVolume" -}}
{{- with include "pc.cassandra.caSecret" . -}}
- name: ca
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - key: ca.crt
        path: ca.crt
{{- end -}}
{{- end -}}

{{/* . -> where it goes. */}}
{{- define "pc.caMount" -}}
{{- if include "pc.cassandra.caSecret" . -}}
- name: ca
  mountPath: /etc/prefect-cassandra/ca
  readOnly: true
{{- end -}}
{{- end -}}

{{/* . -> how the bootstrap is told of TLS: an authority of its own, or the public ones. */}}
{{- define "pc.tlsArguments" -}}
{{- if include "pc.cassandra.caSecret" . -}}
- --ca-file
- /etc/prefect-cassandra/ca/ca.crt
{{- else if and (not .Values.cassandra.enabled) .Values.externalCassandra.tls.enabled -}}
- --tls
{{- end -}}
{{- end -}}
