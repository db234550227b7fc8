# An image that holds watchdogd for other images to copy: /watchdogd, and the same program
# as /fwatchdog for images of OpenFaaS (docs/openfaas.md).
#
#     docker build --build-arg VERSION=1.0.0 -t registry.example/watchdogd:1.0.0 .

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=devel
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH make build BINARY=/image/watchdogd VERSION=$VERSION \
	&& cp /image/watchdogd /image/fwatchdog

FROM scratch
COPY --from=build /image/ /
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["/watchdogd", "healthcheck"]
ENTRYPOINT ["/watchdogd"]
