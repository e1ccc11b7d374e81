{{/*
Pieces of NetworkPolicies. Every component is closed both ways and lists what it may do; a connection needs both ends to agree,
so each pair stands in the client's policy and in the server's.
*/}}

{{/* (list . "server") -> metadata and the closed start of a component's policy. */}}
{{- define "pc.policy.head" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "pc.fullname" . }}
  labels: {{- include "pc.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "pc.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end -}}

{{/* (list . "worker" "flow") -> peers of a rule: these components of this release. */}}
{{- define "pc.policy.peers" -}}
{{- $root := index . 0 -}}
{{- range $component := rest . }}
- podSelector:
    matchLabels: {{- include "pc.selector" (list $root $component) | nindent 6 }}
{{- end }}
{{- end -}}

{{/* (list 9042 7000) -> ports of a rule. */}}
{{- define "pc.policy.ports" -}}
{{- range . }}
- protocol: TCP
  port: {{ . | int }}
{{- end }}
{{- end -}}

{{/* (list <ranges> <ports>) -> one rule to addresses outside of the release; no ranges mean any. */}}
{{- define "pc.policy.outside" -}}
- ports: {{- include "pc.policy.ports" (index . 1) | nindent 4 }}
  {{- with index . 0 }}
  to:
    {{- range . }}
    - ipBlock:
        cidr: {{ . }}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* any context -> names must be looked up. To anywhere: where the cluster's DNS listens differs, on the node itself with its cache. */}}
{{- define "pc.policy.dns" -}}
- ports:
    - protocol: UDP
      port: 53
    - protocol: TCP
      port: 53
{{- end -}}

{{/* . -> rule to Prefect's API, ours or the external one by the port in its URL; nothing if there is neither. */}}
{{- define "pc.policy.toServer" -}}
{{- if .Values.server.enabled -}}
- to: {{- include "pc.policy.peers" (list . "server") | nindent 4 }}
  ports: {{- include "pc.policy.ports" (list 4200) | nindent 4 }}
{{- else if .Values.externalServer.apiUrl -}}
{{- $url := urlParse .Values.externalServer.apiUrl -}}
{{- $port := ternary "443" "80" (eq $url.scheme "https") -}}
{{- if regexMatch ":[0-9]+$" $url.host -}}
{{- $port = regexFind "[0-9]+$" $url.host -}}
{{- end -}}
{{- include "pc.policy.outside" (list list (list $port)) -}}
{{- end -}}
{{- end -}}

{{/* . -> rule to CQL, ours or the external one. */}}
{{- define "pc.policy.toCassandra" -}}
{{- if .Values.cassandra.enabled -}}
- to: {{- include "pc.policy.peers" (list . "cassandra") | nindent 4 }}
  ports: {{- include "pc.policy.ports" (list 9042) | nindent 4 }}
{{- else -}}
{{- include "pc.policy.outside" (list .Values.externalCassandra.cidrs (list .Values.externalCassandra.port)) -}}
{{- end -}}
{{- end -}}

{{/* . -> rule to the server's database, ours or the external one, whose address is known to a Secret alone. */}}
{{- define "pc.policy.toPostgres" -}}
{{- if include "pc.postgresEnabled" . -}}
- to: {{- include "pc.policy.peers" (list . "postgres") | nindent 4 }}
  ports: {{- include "pc.policy.ports" (list 5432) | nindent 4 }}
{{- else -}}
{{- include "pc.policy.outside" (list list (list (.Values.postgres.external.port | default 5432))) -}}
{{- end -}}
{{- end -}}

{{/* . -> rule to Kubernetes' API. Policies see the address behind its Service, hence the second port. */}}
{{- define "pc.policy.toKubernetes" -}}
{{- include "pc.policy.outside" (list .Values.networkPolicy.apiServerCIDRs (list 443 6443)) -}}
{{- end -}}
