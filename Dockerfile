# The images, from the static executables and nothing else. ci/package writes the same ones without an engine; a test compares
# them. The context is the folder that ci/package makes:
#   ci/package v1.2.3 out
#   docker build --file Dockerfile --target node --tag nuage/cni out
#   docker build --file Dockerfile --target emulator --tag nuage/emulator out
#   docker build --file Dockerfile --target harness --tag nuage/harness out
#   docker run --rm --network host -v /tmp/nuage:/data nuage/emulator
# A BASE of your own (a distribution's image, for a shell to look around with) takes the place of nothing.
ARG BASE=scratch

# What a node needs. All side by side, which is where the installer looks for the others; no entry point, so that each of them
# is called by its name.
FROM ${BASE} AS node
COPY LICENSE /usr/share/licenses/nuage-cni/LICENSE
COPY loopback nuage-audit nuage-cni-install nuage-cni-k8s nuage-cni-mesos nuage-cni-openshift /opt/cni/bin/
ENV PATH=/opt/cni/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# The mount of the host: what is installed is never meant for the container.
ENV NUAGE_HOST_ROOT=/host
WORKDIR /opt/cni/bin
CMD ["nuage-cni-install", "run"]

FROM ${BASE} AS harness
COPY LICENSE /usr/share/licenses/nuage-cni/LICENSE
COPY harness /usr/bin/harness
# The archive has one folder, scenarios.
ADD nuage-scenarios-*.tar.gz /usr/share/nuage-cni/
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /
ENTRYPOINT ["/usr/bin/harness"]
CMD ["run", "/usr/share/nuage-cni/scenarios"]

FROM ${BASE} AS emulator
COPY LICENSE /usr/share/licenses/nuage-cni/LICENSE
COPY emulator /usr/bin/emulator
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /
ENTRYPOINT ["/usr/bin/emulator"]
CMD ["up", "--dir", "/data"]
