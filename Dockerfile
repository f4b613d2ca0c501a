# The daemon in a container. Build: docker build -t starling .
# Run: docker run -v starling:/data -p 7740:7740/tcp -p 7740:7740/udp starling daemon --bootstrap /ip4/.../tcp/7740/p2p/...

FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && npm ci --omit=dev

FROM node:20-bookworm-slim
LABEL org.opencontainers.image.title="Starling" org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY scripts/starling.js scripts/launch.js scripts/
COPY configs configs
COPY LICENSE CHANGELOG.md ./

# First on the path is the Node that package-lock.json pins, not the image's.
ENV NODE_ENV=production STARLING_DATA=/data PATH="/app/node_modules/.bin:$PATH"
RUN mkdir /data && chown node:node /data
VOLUME /data
USER node
EXPOSE 7740/tcp 7740/udp
STOPSIGNAL SIGTERM
# The API listens on the container's own loopback, at the address that the daemon wrote beside its data.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch(JSON.parse(fs.readFileSync(process.env.STARLING_DATA + '/api.json', 'utf8')).url + '/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "scripts/starling.js"]
CMD ["daemon"]
