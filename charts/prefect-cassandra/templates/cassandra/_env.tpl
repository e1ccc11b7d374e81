{{/* . -> environment of a node; what the image's own scripts heed, and what the start program needs to know of its pod. */}}
{{- define "pc.cassandra.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
# In bytes; the heap follows from it.
- name: MEMORY_LIMIT
  valueFrom:
    resourceFieldRef:
      containerName: cassandra
      resource: limits.memory
# Written by the start program; the image's own folder is read-only.
- name: CASSANDRA_CONF
  value: /run/cassandra/conf
- name: CASSANDRA_LOG_DIR
  value: /var/log/cassandra
# JMX on loopback alone, for nodetool by kubectl exec.
- name: LOCAL_JMX
  value: "yes"
# nodetool and cqlsh keep their histories there.
- name: HOME
  value: /tmp
- name: PYTHONDONTWRITEBYTECODE
  value: "1"
{{- end -}}
