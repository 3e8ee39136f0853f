# gregor is one static binary: the image holds it, a configuration, and nothing else.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=container
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/gregor ./cmd/gregor \
 && mkdir -p /out/data /out/tmp

FROM scratch
COPY --from=build /out/gregor /gregor
# An unprivileged user owns the data folder; a named volume mounted there starts as its copy.
COPY --from=build --chown=10001:10001 /out/data /data
COPY --from=build --chown=10001:10001 /out/tmp /tmp
COPY docker/server.properties /etc/gregor/server.properties
USER 10001:10001
EXPOSE 9092
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s CMD ["/gregor", "healthcheck", "localhost:9092"]
ENTRYPOINT ["/gregor", "server", "/etc/gregor/server.properties"]
