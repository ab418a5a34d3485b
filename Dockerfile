# Caddy with all of caddy-uma in it, from this folder and nothing else:
#
#   docker build -t caddy-uma .
#
# How to run it: examples/docker/README.md
FROM golang:1.26 AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -tags=nobadger,nomysql,nopgx"
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -ldflags="-s -w" -o /out/caddy ./integration/caddy
RUN /out/caddy list-modules | grep -x http.handlers.uma_server
RUN mkdir -p /out/empty

# busybox brings wget, for the health check.
FROM busybox:stable
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/caddy /usr/bin/caddy
# Folders of the user that it runs as: volumes take their owner from them.
COPY --from=build --chown=10001:10001 /out/empty /data
COPY --from=build --chown=10001:10001 /out/empty /config
COPY examples/docker/Caddyfile /etc/caddy/Caddyfile

# Caddy's storage (keys, certificates) and uma.db are below /data: keep it.
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config HOME=/config
VOLUME ["/data", "/config"]
WORKDIR /config
USER 10001:10001
EXPOSE 80 443 443/udp
HEALTHCHECK --start-period=10s --interval=15s --timeout=3s \
	CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8081/"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/caddy"]
CMD ["run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
