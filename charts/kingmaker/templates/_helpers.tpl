{{/* Name of everything of the operator's own: the release's, with the chart's where it isn't part of it already. */}}
{{- define "kingmaker.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}{{- $name = printf "%s-%s" $name .Chart.Name -}}{{- end -}}
{{- $name | trunc 53 | trimSuffix "-" -}}
{{- end }}

{{/* Labels that select the operator's pods; the NetworkPolicies of servers and routers know the last two. */}}
{{- define "kingmaker.selector" -}}
app.kubernetes.io/name: kingmaker-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: kingmaker
app.kubernetes.io/component: operator
{{- end }}

{{- define "kingmaker.labels" -}}
{{ include "kingmaker.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Watched namespaces as a JSON list; the release's own when none is named. */}}
{{- define "kingmaker.namespaces" -}}
{{- .Values.scope.namespaces | default (list .Release.Namespace) | toJson -}}
{{- end }}

{{/* Networks that no workload may reach, as a JSON list: those of the values, and the API server where Helm can see it. */}}
{{- define "kingmaker.blockedEgress" -}}
{{- $blocked := .Values.network.blockedEgress -}}
{{- if .Values.network.blockApiServer -}}
{{- $found := dig "spec" "clusterIPs" list (lookup "v1" "Service" "default" "kubernetes") -}}
{{- range dig "endpoints" list (lookup "discovery.k8s.io/v1" "EndpointSlice" "default" "kubernetes") -}}
{{- $found = concat $found .addresses -}}
{{- end -}}
{{- range $found -}}
{{- $blocked = append $blocked (printf "%s/%s" . (ternary "128" "32" (contains ":" .))) -}}
{{- end -}}
{{- end -}}
{{- $blocked | uniq | toJson -}}
{{- end }}
