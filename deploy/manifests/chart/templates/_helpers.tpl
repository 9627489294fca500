{{- define "echolane.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "echolane.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "echolane.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "echolane.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "echolane.selector" -}}
app.kubernetes.io/name: {{ include "echolane.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "echolane.labels" -}}
{{ include "echolane.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "echolane.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "echolane.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "echolane.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "echolane.keysSecret" -}}
{{- if .Values.keys.existingSecret -}}
{{ .Values.keys.existingSecret }}
{{- else if .Values.keys.create -}}
{{ include "echolane.fullname" . }}-keys
{{- else -}}
{{- fail "keys.existingSecret names no Secret: make one with seal-key and mark-key (64 hex digits each, openssl rand -hex 32), or set keys.create=true" -}}
{{- end -}}
{{- end -}}

{{/* Here and not in the schema, which would print it. */}}
{{- define "echolane.noPassword" -}}
{{- if regexMatch "://[^/@]*:[^/@]*@" (last .) -}}
{{- fail (printf "%s.url holds a password, which everybody who may read Deployments would see: put it into a Secret and name that as %s.existingSecret" (first .) (first .)) -}}
{{- end -}}
{{- end -}}

{{/* What a container is told, and no secret that it does not need. Takes root, and of journal, store and keys what it gets: the first and the
last are truths, store has url, existingSecret and passwordKey. */}}
{{- define "echolane.env" -}}
{{- include "echolane.noPassword" (list "journal" .root.Values.journal.url) }}
{{- with .store }}{{ include "echolane.noPassword" (list "store" .url) }}{{ end }}
- name: ECHOLANE_HOME
  value: /var/lib/echolane
{{- if .journal }}
- name: ECHOLANE_JOURNAL
  value: {{ .root.Values.journal.url | quote }}
{{- with .root.Values.journal }}
{{- if .existingSecret }}
- name: ECHOLANE_KAFKA_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .passwordKey }}}
{{- end }}
{{- end }}
{{- end }}
{{- with .store }}
- name: ECHOLANE_STORE
  value: {{ .url | quote }}
{{- if .existingSecret }}
- name: ECHOLANE_STORE_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .passwordKey }}}
{{- end }}
{{- end }}
{{- if .keys }}
- name: ECHOLANE_SEAL_KEY
  valueFrom:
    secretKeyRef: {name: {{ include "echolane.keysSecret" .root }}, key: {{ .root.Values.keys.sealKey }}}
- name: ECHOLANE_MARK_KEY
  valueFrom:
    secretKeyRef: {name: {{ include "echolane.keysSecret" .root }}, key: {{ .root.Values.keys.markKey }}}
{{- end }}
{{- range $name, $value := .root.Values.settings }}
- name: ECHOLANE_{{ $name | upper | replace "." "_" }}
  {{- /* A whole number comes as a float here, and a large one would be written 1e+06. */}}
  {{- if and (kindIs "float64" $value) (eq (floor $value) $value) }}
  value: {{ int64 $value | toString | quote }}
  {{- else }}
  value: {{ $value | toString | quote }}
  {{- end }}
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "echolane.mounts" -}}
- {name: echolane-home, mountPath: /var/lib/echolane}
- {name: echolane-tmp, mountPath: /tmp}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes root and size. */}}
{{- define "echolane.volumes" -}}
- name: echolane-home
  emptyDir: {sizeLimit: {{ .size }}}
- name: echolane-tmp
  emptyDir: {sizeLimit: 256Mi}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What every pod has. Service links are off: a Service named echolane-… would put ECHOLANE_… into the environment. */}}
{{- define "echolane.pod" -}}
enableServiceLinks: false
automountServiceAccountToken: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A capture agent's container. Takes root and agent. */}}
{{- define "echolane.agent" -}}
name: echolane-{{ .agent.name }}
image: {{ include "echolane.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [record, --service, {{ .agent.service | quote }}, --listen, "0.0.0.0:{{ .agent.port }}", --upstream, {{ .agent.upstream | quote }}]
env:
  {{- include "echolane.env" (dict "root" .root "journal" true "keys" true) | nindent 2 }}
ports:
  - {name: echolane, containerPort: {{ .agent.port }}}
startupProbe:
  tcpSocket: {port: {{ .agent.port }}}
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  tcpSocket: {port: {{ .agent.port }}}
  periodSeconds: 5
livenessProbe:
  tcpSocket: {port: {{ .agent.port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
securityContext:
  {{- toYaml .root.Values.securityContext | nindent 2 }}
resources:
  {{- toYaml (default .root.Values.agentDefaults.resources .agent.resources) | nindent 2 }}
volumeMounts:
  {{- include "echolane.mounts" .root | nindent 2 }}
{{- end -}}
