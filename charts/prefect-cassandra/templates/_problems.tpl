{{/*
What can be wrong with values that are right each for itself. One problem a line: `value.path: what is wrong; what to set instead`.
Cassandra's own are beside its templates.
*/}}

{{- define "pc.server.problems" -}}
{{- $url := .Values.externalServer.apiUrl }}
{{- if not (or .Values.server.enabled .Values.worker.enabled .Values.cassandra.enabled) }}
server.enabled: server, worker and cassandra are all off, so there is nothing to install; set one of them to true
{{- end }}
{{- if and .Values.server.enabled $url }}
externalServer.apiUrl: is set, but server.enabled=true installs a server of its own; set server.enabled=false or leave apiUrl empty
{{- end }}
{{- if and .Values.worker.enabled (not .Values.server.enabled) }}
{{- if not $url }}
externalServer.apiUrl: is empty, but server.enabled=false, so the worker has nobody to ask; set it to the API of your server, for example https://prefect.example.com/api
{{- else if not (regexMatch "^https?://[^/]+/.*api" $url) }}
externalServer.apiUrl: {{ $url }} is not the address of an API; it begins with http:// or https:// and usually ends with /api
{{- end }}
{{- end }}
{{- if and .Values.reconciler.enabled (not .Values.worker.enabled) }}
reconciler.enabled: there are no runs of this release to put right with worker.enabled=false; set it in the release that has the worker
{{- end }}
{{- if and .Values.server.ingress.enabled (not .Values.server.ingress.host) }}
server.ingress.host: is empty, but server.ingress.enabled=true; set it to the host name people will use
{{- end }}
{{- if and .Values.server.ingress.enabled (not .Values.server.enabled) }}
server.ingress.enabled: there is no server to lead to with server.enabled=false; set it to false
{{- end }}
{{- end -}}

{{/* A bare name with a tag of its own is an image that somebody put on the nodes; without one, nobody has said where it is. */}}
{{- define "pc.images.problems" -}}
{{- $images := .Values.images }}
{{- range $name := list "cassandra" "postgres" }}
{{- $image := get $images $name }}
{{- if not (or $image.tag $image.digest) }}
images.{{ $name }}.tag: is empty, and this chart's own version is none of its; set a tag or a digest
{{- end }}
{{- end }}
{{- $lost := list }}
{{- range $name := list "platform" "flows" }}
{{- $image := get $images $name }}
{{- if not (or $images.registry $image.tag $image.digest (contains "/" $image.repository)) }}
{{- $lost = append $lost $image.repository }}
{{- end }}
{{- end }}
{{- if $lost }}
images.registry: is empty, so nobody has said where the cluster finds {{ join " and " $lost }}; run `make push REGISTRY=registry.example.org/data` with a registry of yours and set this value to the same (on kind, `make kind-demo` sets the images; `prefect-cassandra flows push` renews those of the flows)
{{- end }}
{{- end -}}

{{- define "pc.client.problems" -}}
{{- $known := .Values.cassandra.enabled }}
{{- if and .Values.bootstrap.enabled (not $known) }}
{{- if not .Values.logins.superuserSecret }}
logins.superuserSecret: is empty, but your own Cassandra's keyspaces and roles are made as its superuser; set it to a Secret with username and password, or bootstrap.enabled=false if they exist
{{- end }}
{{- end }}
{{- range $name, $keyspace := .Values.keyspaces }}
{{- if has $name (list "prefect_state" "prefect_ledger") }}
keyspaces.{{ $name }}: is one of the two keyspaces that are always there; remove it
{{- else if regexMatch "^(system|dse)(_|$)" $name }}
keyspaces.{{ $name }}: belongs to the database itself; choose another name
{{- end }}
{{- range $datacenter, $copies := $keyspace.replication }}
{{- if and $known (ne $datacenter $.Values.cassandra.datacenter) }}
keyspaces.{{ $name }}.replication.{{ $datacenter }}: there is no such datacenter, so nothing would be stored there; set it for {{ $.Values.cassandra.datacenter }}
{{- else if and $known (gt (int $copies) (int $.Values.cassandra.replicas)) }}
keyspaces.{{ $name }}.replication.{{ $datacenter }}: {{ $copies }} copies do not fit on {{ $.Values.cassandra.replicas }} nodes; set at most that, or raise cassandra.replicas
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "pc.workpool.problems" -}}
{{- $names := list }}
{{- range .Values.workPool.queues }}
{{- if has .name $names }}
workPool.queues: {{ .name }} is there twice; remove one of them
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- if not (has "default" $names) }}
workPool.queues: there is none called default, which Prefect makes anyway and gives to deployments without a queue; add it
{{- end }}
{{- end -}}

{{/* With podDefaults.generateSecrets=false, every Secret that nobody named. */}}
{{- define "pc.secrets.problems" -}}
{{- if not .Values.podDefaults.generateSecrets }}
{{- if and .Values.server.enabled (not .Values.server.auth.existingSecret) }}
server.auth.existingSecret: is empty, but podDefaults.generateSecrets=false; set it to a Secret with the key {{ .Values.server.auth.existingSecretKey }} (user:password)
{{- end }}
{{- if and (include "pc.postgresEnabled" .) (not .Values.postgres.auth.existingSecret) }}
postgres.auth.existingSecret: is empty, but podDefaults.generateSecrets=false; set it to a Secret with the keys password and connection-url
{{- end }}
{{- if and .Values.cassandra.enabled (not .Values.logins.superuserSecret) }}
logins.superuserSecret: is empty, but podDefaults.generateSecrets=false; set it to a Secret with the keys username and password
{{- end }}
{{- if not .Values.logins.existingPrefix }}
logins.existingPrefix: is empty, but podDefaults.generateSecrets=false; set it, and make a Secret with username and password for each of {{ include "pc.roles" . | splitList "\n" | join ", " }}
{{- end }}
{{- end }}
{{- end -}}
