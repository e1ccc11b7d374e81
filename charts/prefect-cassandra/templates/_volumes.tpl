{{/*
What an upgrade or a reinstall must not ask of volumes that are there already. Kubernetes refuses most of it too, but with a list of
fields that says neither which value was meant nor what to do; and it does not know that a node's rows are on its volume.
*/}}

{{/* "1Gi" -> its bytes, because the cluster writes 1024Mi as 1Gi; a text that is no such amount stays as it is. */}}
{{- define "pc.bytes" -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" . -}}
{{- $unit := trimPrefix $number . -}}
{{- if and $number (hasKey $units $unit) -}}
{{- mulf (float64 $number) (float64 (get $units $unit)) | printf "%.0f" -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* . -> what is wrong with the values of volumes, one problem per line; nothing if all is well, and for `helm template`. */}}
{{- define "pc.volumes.problems" -}}
{{- if include "pc.postgresEnabled" . -}}
{{- include "pc.volumes.fixed" (list . "postgres" .Values.postgres.storage) -}}
{{- end -}}
{{- if .Values.cassandra.enabled -}}
{{- include "pc.volumes.fixed" (list . "cassandra" .Values.cassandra.storage) -}}
{{- include "pc.volumes.nodes" . -}}
{{- end -}}
{{- end -}}

{{/* (list . "postgres" .Values.postgres.storage) -> a problem for each field of its claims that differs from the live StatefulSet's. */}}
{{- define "pc.volumes.fixed" -}}
{{- $namespace := (index . 0).Release.Namespace -}}
{{- $name := include "pc.fullname" (list (index . 0) (index . 1)) -}}
{{- $path := printf "%s.storage" (index . 1) -}}
{{- $storage := index . 2 -}}
{{- range (lookup "apps/v1" "StatefulSet" $namespace $name | default dict | dig "spec" "volumeClaimTemplates" list) -}}
{{- $size := .spec.resources.requests.storage | toString -}}
{{- if ne (include "pc.bytes" $size) (include "pc.bytes" $storage.size) -}}
{{ printf "%s.size: is %s and the claims were made for %s, which no upgrade can change. Set it back; or enlarge the claims data-%s-0 and so on with kubectl, where their StorageClass allows it, run `kubectl -n %s delete statefulset %s --cascade=orphan`, then upgrade again\n" $path $storage.size $size $name $namespace $name }}
{{- end -}}
{{- $class := .spec.storageClassName | default "" -}}
{{- if ne $class $storage.storageClass -}}
{{ printf "%s.storageClass: is %s and the claims were made with %s, which no volume can change; set it back, or install a new release with it and move the data there\n" $path (quote $storage.storageClass) (quote $class) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
. -> a problem if the nodes whose volumes are there are not those that are asked for. It looks at the claims as well, because they outlive a
release: reinstalled with fewer nodes, the others' rows would be missing; with more, an old lone node would not have copied its own.
*/}}
{{- define "pc.volumes.nodes" -}}
{{- $namespace := .Release.Namespace -}}
{{- $name := include "pc.fullname" (list . "cassandra") -}}
{{- $wanted := .Values.cassandra.replicas | int -}}
{{- $running := lookup "apps/v1" "StatefulSet" $namespace $name | default dict | dig "spec" "replicas" 0 | int -}}
{{- $kept := include "pc.volumes.kept" (list $namespace $name) | int -}}
{{- $nodes := max $running $kept | int -}}
{{- $last := printf "%s-%d" $name (sub $nodes 1) -}}
{{- if lt $wanted $running -}}
{{ printf "cassandra.replicas: is %d and %d nodes are running; each of the others would take its rows with it. From the highest down, lower the replication of every keyspace where it is as high as the nodes are many, run `kubectl -n %s exec %s -- nodetool decommission`, then `kubectl -n %s scale statefulset %s --replicas=%d`, and delete its claim data-%s\n" $wanted $running $namespace $last $namespace $name (sub $running 1) $last }}
{{- else if lt $wanted $kept -}}
{{ printf "cassandra.replicas: is %d and there are the volumes of %d nodes, the last of them data-%s, with rows that the others need not have; set %d. Delete the claim of a node that was decommissioned, or every claim data-%s-* if nothing of it is wanted\n" $wanted $kept $last $kept $name }}
{{- else if and (gt $nodes 0) (lt $nodes 3) (gt $wanted $nodes) -}}
{{ printf "cassandra.replicas: is %d and there are the rows of %d. That would ask for more copies of rows and logins than there are, and reads would miss what only the old nodes have until a repair. Set it back; install a new release with at least 3 nodes and move the data there. If nothing of it is wanted, delete every claim data-%s-* first\n" $wanted $nodes $name }}
{{- end -}}
{{- end -}}

{{/* (list <namespace> <StatefulSet>) -> how many of its claims have a volume, from ordinal 0 on. One that never got any holds nothing. */}}
{{- define "pc.volumes.kept" -}}
{{- $namespace := index . 0 -}}
{{- $count := 0 -}}
{{- range $ordinal := until 1000 -}}
{{- $name := printf "data-%s-%d" (index $ 1) $ordinal -}}
{{- $claim := lookup "v1" "PersistentVolumeClaim" $namespace $name | default dict -}}
{{- if or (ne (dig "status" "phase" "" $claim) "Bound") (dig "metadata" "deletionTimestamp" "" $claim) -}}
{{- break -}}
{{- end -}}
{{- $count = add1 $count -}}
{{- end -}}
{{- $count -}}
{{- end -}}
