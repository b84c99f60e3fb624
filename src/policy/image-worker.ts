import { type Image, type ImageSource, takeImage } from './image.ts';
import { Instance } from './instance.ts';
import { answer, buffersOf } from './thread.ts';
import { warmUp } from './warm-up.ts';

answer<ImageSource, Image>(
  (source) => {
    const image = takeImage(source);
    warmUp(new Instance({ ...source, image }), source.profile);
    return image;
  },
  ({ bytes }) => buffersOf([bytes]),
);
