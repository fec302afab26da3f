{{- define "prescale.labels" -}}
app.kubernetes.io/name: prescale
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* The rest is of a dict of `root`, the context, and `component`. */}}
{{- define "prescale.selector" -}}
app.kubernetes.io/name: prescale
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "prescale.pod" -}}
serviceAccountName: {{ .root.Release.Name }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "prescale.container" -}}
image: {{ printf "%s:%s" .root.Values.image.repository .root.Values.image.tag | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
workingDir: /var/lib/prescale
env:
  - { name: PRESCALE_CONFIG, value: /etc/prescale/prescale.toml }
  - name: PRESCALE__BUS__KAFKA__INSTANCE_ID
    valueFrom: { fieldRef: { fieldPath: metadata.name } }
{{- with .root.Values.secret }}
envFrom:
  - secretRef: { name: {{ . | quote }} }
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
volumeMounts:
  - { name: configuration, mountPath: /etc/prescale, readOnly: true }
  - { name: state, mountPath: /var/lib/prescale }
{{- end }}

{{- /* Asked from inside, since it listens on loopback. */}}
{{- define "prescale.probes" -}}
readinessProbe:
  exec: { command: [prescale, health, --address, {{ . | quote }}] }
  periodSeconds: 10
  timeoutSeconds: 5
{{- end }}
