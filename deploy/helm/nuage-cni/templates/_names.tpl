{{- /* Names and folders that several templates need. */ -}}
{{- define "nuage-cni.openshift" -}}{{ if eq .Values.orchestrator "openshift" }}yes{{ end }}{{- end }}
{{- define "nuage-cni.vsp" -}}
{{- if include "nuage-cni.openshift" . }}/var/usr/share/vsp-openshift{{ else if .Values.readOnlyUsr }}/var/usr/share/vsp-k8s{{ else }}/usr/share/vsp-k8s{{ end }}
{{- end }}
{{- define "nuage-cni.vspSecret" -}}{{ .Values.vspSecret | default "nuage-cni-vsp" }}{{- end }}
{{- define "nuage-cni.binDir" -}}
{{ .Values.cni.binDir | default (eq .Values.orchestrator "openshift" | ternary "/var/lib/cni/bin" "/opt/cni/bin") }}
{{- end }}
{{- define "nuage-cni.netDir" -}}
{{ .Values.cni.netDir | default (eq .Values.orchestrator "openshift" | ternary "/run/multus/cni/net.d" "/etc/cni/net.d") }}
{{- end }}
{{- define "nuage-cni.nodeFile" -}}
{{ merge (dict "metricslisten" (printf "%s:%d" .Values.metrics.address (int .Values.metrics.port))) .Values.node | toYaml }}
{{- end }}
