{{- define "prescale.labels" -}}
app.kubernetes.io/name: prescale
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* The rest is of a dict of `root`, the context, `component`, and `scales`, whether it is asked as the scaler. */}}
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
  {{- if .scales }}
  - { name: PRESCALE__SCALER__LISTEN, value: "0.0.0.0:9500" }
  - { name: PRESCALE__SCALER__TLS__CERTIFICATE_FILE, value: /etc/prescale-scaler/tls.crt }
  - { name: PRESCALE__SCALER__TLS__KEY_FILE, value: /etc/prescale-scaler/tls.key }
  - { name: PRESCALE__SCALER__TLS__CLIENT_CA_FILE, value: /etc/prescale-scaler/ca.crt }
ports:
  - { name: scaler, containerPort: 9500 }
  {{- end }}
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
  {{- if .scales }}
  - { name: scaler-tls, mountPath: /etc/prescale-scaler, readOnly: true }
  {{- end }}
{{- end }}

{{- define "prescale.volumes" -}}
- name: configuration
  configMap: { name: {{ .root.Release.Name }} }
{{- if .scales }}
- name: scaler-tls
  secret:
    secretName: {{ required "scaler.tlsSecret: name a Secret with tls.crt, tls.key and ca.crt" .root.Values.scaler.tlsSecret | quote }}
{{- end }}
{{- end }}

{{- /* Asked from inside, since it listens on loopback. */}}
{{- define "prescale.probes" -}}
readinessProbe:
  exec: { command: [prescale, health, --address, {{ . | quote }}] }
  periodSeconds: 10
  timeoutSeconds: 5
{{- end }}
