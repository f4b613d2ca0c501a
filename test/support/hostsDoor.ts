/**
 * The API of a daemon on another host, at the same port here. A socket belongs to the network in which it was made: this
 * process runs on the daemon's host, and its parent, who does not, sends it a listening one.
 */
import { connect, type Server, type Socket } from 'node:net';

process.once('disconnect', () => process.exit());
process.once('message', (port: number, door: Server) => {
  door.on('connection', (outside: Socket) => {
    const inside = connect(port, '127.0.0.1');
    outside.pipe(inside).pipe(outside);
    // The daemon may be dead, or not yet there: whoever asked then sees the connection break, after all that had come before.
    for (const [one, other] of [
      [outside, inside],
      [inside, outside],
    ] as const)
      one.once('error', () => other.destroySoon()).once('close', () => other.destroySoon());
  });
});
