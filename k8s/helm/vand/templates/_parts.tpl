{{- /* One object of k8s/base. */ -}}
{{- define "vand.part" -}}
{{- .root.Files.Get (printf "base/%s.yaml" .part) | required (printf "base/%s.yaml is not in the chart" .part) -}}
{{- end -}}

{{- define "vand.image" -}}
{{- with .Values.image -}}
{{- .repository -}}{{ with .digest }}@{{ . }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}
