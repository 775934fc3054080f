{{/* The operator's own name, as the API server knows it. */}}
{{- define "kingmaker.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "kingmaker.name" . }}
{{- end }}

{{/* Name of a policy. They belong to no namespace, releases do: its namespace is part of the name. Takes (root, name). */}}
{{- define "kingmaker.policy" -}}
{{ (index . 0).Release.Namespace }}-{{ include "kingmaker.name" (index . 0) }}-{{ index . 1 }}
{{- end }}

{{/* Head of a policy, up to and without what it matches. Takes (root, name). */}}
{{- define "kingmaker.policyHead" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ include "kingmaker.policy" . }}
  labels: {{- include "kingmaker.labels" (index . 0) | nindent 4 }}
spec:
  # Nothing is called over a network, so this fails when an expression does, and lets nothing pass then.
  failurePolicy: Fail
{{- end }}

{{/* Puts a policy into force in the watched namespaces. Takes (root, name). */}}
{{- define "kingmaker.policyBinding" -}}
{{- $root := index . 0 -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ include "kingmaker.policy" . }}
  labels: {{- include "kingmaker.labels" $root | nindent 4 }}
spec:
  policyName: {{ include "kingmaker.policy" . }}
  validationActions: [Deny]
  {{- if not $root.Values.scope.allNamespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values: {{ include "kingmaker.namespaces" $root }}
  {{- end }}
{{- end }}

{{/* Condition: somebody else than the operator asks. */}}
{{- define "kingmaker.notTheOperator" -}}
- name: not-the-operator
  expression: request.userInfo.username != '{{ include "kingmaker.username" . }}'
{{- end }}

{{/* CEL: one of Kubernetes' own controllers asks. Not everywhere has each of them an account of its own. */}}
{{- define "kingmaker.isController" -}}
request.userInfo.username.startsWith('system:serviceaccount:kube-system:') || request.userInfo.username == 'system:kube-controller-manager'
{{- end }}
